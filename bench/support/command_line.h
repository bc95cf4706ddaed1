#pragma once
/// The command line of a benchmark, and what all of them begin and end with.
#include <functional>
#include <string>
#include <vector>

#include "bench/bench.h"

namespace davit::bench {

class CommandLine {
  public:
    /// --NAME VALUE; accept says whether the value is one.
    CommandLine& option(std::string name,
                        std::string placeholder,
                        std::function<bool(const char*)> accept);

    CommandLine& text(const std::string& name, std::string placeholder, std::string& value);

    /// At least 1.
    CommandLine& count(const std::string& name, int& value);

    CommandLine& flag(const std::string& name, bool& value);

    /// One or more operands; without this there must be none.
    CommandLine& operands(std::string placeholder, std::vector<std::string>& values);

    /// --davit PATH, the program under test.
    CommandLine& davit(std::string& path) { return text("davit", "PATH", path); }

    /// Parse, open the file of --json FILE (every benchmark has that option), run the benchmark,
    /// and say on stderr what was wrong. Gives the exit status of main().
    int run(int argc, char** argv, const std::function<Result<void>(JsonLines&)>& benchmark);

    /// Where the samples went; "" if nowhere.
    const std::string& json_path() const { return json_path_; }

  private:
    struct Option {
        std::string name;
        std::string placeholder;  // Empty: takes no value.
        std::function<bool(const char*)> accept;
    };

    bool parse(int argc, char** argv);
    std::string usage(const char* program) const;

    std::vector<Option> options_;
    std::string operands_placeholder_;
    std::vector<std::string>* operands_ = nullptr;
    std::string json_path_;
};

}  // namespace davit::bench
