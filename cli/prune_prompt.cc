#include "cli/prune_prompt.h"

#include <fcntl.h>

#include <fmt/format.h>

#include "cli/stdio_stream.h"

namespace davit::cli {

namespace {

constexpr std::size_t answer_bytes_max = 64;

}  // namespace

Task<bool> prune_confirmed(Context& context, std::string_view what) {
    context.out.write(fmt::format(
        "WARNING! This will remove {}.\nAre you sure you want to continue? [y/N] ", what));
    context.out.flush();
    CO_TRY(StdioStream input, StdioStream::open(context.fds().in, O_RDONLY));
    std::string answer;
    char byte = 0;
    while (answer.size() < answer_bytes_max) {
        CO_TRY(const std::size_t got, co_await input.read(std::span<char>(&byte, 1)));
        if (got == 0 || byte == '\n') {
            break;
        }
        answer.push_back(byte);
    }
    co_return answer == "y" || answer == "Y";
}

}  // namespace davit::cli
