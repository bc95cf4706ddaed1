#include "cli/json_text.h"

namespace davit::cli {

namespace {

constexpr std::string_view json_blanks = " \t\r\n";

class Indenter {
  public:
    Indenter(std::string_view json, std::string_view indent, std::string_view level)
        : rest_(json), indent_(indent), level_(level) {}

    std::string run() {
        std::size_t depth = 0;
        while (!rest_.empty()) {
            const char c = rest_.front();
            if (c == '"') {
                copy_string();
                continue;
            }
            rest_.remove_prefix(1);
            if (c == '{' || c == '[') {
                out_ += c;
                skip_blanks();
                if (rest_.starts_with(c == '{' ? '}' : ']')) {
                    out_ += rest_.front();
                    rest_.remove_prefix(1);
                } else {
                    new_line(++depth);
                }
            } else if (c == '}' || c == ']') {
                new_line(--depth);
                out_ += c;
            } else if (c == ',') {
                out_ += c;
                new_line(depth);
            } else if (c == ':') {
                out_ += ": ";
            } else if (json_blanks.find(c) == std::string_view::npos) {
                out_ += c;
            }
        }
        return std::move(out_);
    }

  private:
    void copy_string() {
        std::size_t end = 1;
        while (end < rest_.size() && rest_[end] != '"') {
            end += rest_[end] == '\\' ? 2 : 1;
        }
        end = std::min(end + 1, rest_.size());
        out_ += rest_.substr(0, end);
        rest_.remove_prefix(end);
    }

    void skip_blanks() {
        rest_.remove_prefix(std::min(rest_.find_first_not_of(json_blanks), rest_.size()));
    }

    void new_line(std::size_t depth) {
        out_ += '\n';
        out_ += indent_;
        for (std::size_t i = 0; i < depth; ++i) {
            out_ += level_;
        }
    }

    std::string_view rest_;
    std::string_view indent_;
    std::string_view level_;
    std::string out_;
};

}  // namespace

std::string json_indented(std::string_view json, std::string_view indent, std::string_view level) {
    return Indenter(json, indent, level).run();
}

}  // namespace davit::cli
