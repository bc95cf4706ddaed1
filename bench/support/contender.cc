#include "bench/support/contender.h"

#include <fmt/format.h>

namespace davit::bench {

std::vector<std::string> Setting::payload() const {
    return {"sh", "-c", fmt::format("echo {}; exit {}", line, code)};
}

Result<void> Setting::check(std::string_view output, int exit_code) const {
    if (exit_code != code || output != line + "\n") {
        return Error(ErrorKind::internal,
                     fmt::format("the container should write \"{}\" and end with {}; told was "
                                 "\"{}\" and {}",
                                 line,
                                 code,
                                 output.substr(0, 100),
                                 exit_code));
    }
    return ok;
}

}  // namespace davit::bench
