#include "bench/support/command_line.h"

#include <getopt.h>

#include <charconv>
#include <cstring>

#include <fmt/format.h>

#include "bench/support/engine.h"

namespace davit::bench {

CommandLine& CommandLine::option(std::string name,
                                 std::string placeholder,
                                 std::function<bool(const char*)> accept) {
    options_.push_back({std::move(name), std::move(placeholder), std::move(accept)});
    return *this;
}

CommandLine& CommandLine::text(const std::string& name,
                               std::string placeholder,
                               std::string& value) {
    return option(name, std::move(placeholder), [&value](const char* given) {
        value = given;
        return !value.empty();
    });
}

CommandLine& CommandLine::count(const std::string& name, int& value) {
    return option(name, "N", [&value](const char* given) {
        const char* end = given + std::strlen(given);
        const std::from_chars_result parsed = std::from_chars(given, end, value);
        return parsed.ec == std::errc() && parsed.ptr == end && value > 0;
    });
}

CommandLine& CommandLine::flag(const std::string& name, bool& value) {
    return option(name, "", [&value](const char*) {
        value = true;
        return true;
    });
}

CommandLine& CommandLine::operands(std::string placeholder, std::vector<std::string>& values) {
    operands_placeholder_ = std::move(placeholder);
    operands_ = &values;
    return *this;
}

std::string CommandLine::usage(const char* program) const {
    std::string text = fmt::format("usage: {}", program);
    for (const Option& each : options_) {
        text += each.placeholder.empty() ? fmt::format(" [--{}]", each.name)
                                         : fmt::format(" [--{} {}]", each.name, each.placeholder);
    }
    return operands_ == nullptr ? text : fmt::format("{} {}...", text, operands_placeholder_);
}

bool CommandLine::parse(int argc, char** argv) {
    std::vector<::option> known;
    for (const Option& each : options_) {
        const int takes = each.placeholder.empty() ? no_argument : required_argument;
        known.push_back({each.name.c_str(), takes, nullptr, 0});
    }
    known.push_back({nullptr, 0, nullptr, 0});
    int index = 0;
    for (int found = 0; (found = getopt_long(argc, argv, "", known.data(), &index)) != -1;) {
        if (found != 0 || !options_[static_cast<std::size_t>(index)].accept(optarg)) {
            return false;
        }
    }
    if (operands_ == nullptr) {
        return optind == argc;
    }
    operands_->assign(argv + optind, argv + argc);
    return !operands_->empty();
}

int CommandLine::run(int argc,
                     char** argv,
                     const std::function<Result<void>(JsonLines&)>& benchmark) {
    text("json", "FILE", json_path_);
    if (!parse(argc, argv)) {
        fmt::print(stderr, "{}\n", usage(argv[0]));
        return 2;
    }
    JsonLines json;
    Result<void> done = json_path_.empty() ? Result<void>(ok) : json.open(json_path_);
    if (done) {
        done = benchmark(json);
        cgroup_parent_remove();  // dockerd leaves it behind.
    }
    if (!done) {
        fmt::print(stderr, "{}\n", done.error().message());
        return 1;
    }
    return 0;
}

}  // namespace davit::bench
