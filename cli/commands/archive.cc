// davit save, load
#include <fcntl.h>

#include "cli/archive_file.h"
#include "cli/commands/commands.h"
#include "cli/platform_query.h"
#include "cli/progress.h"
#include "cli/stdio_stream.h"
#include "cli/terminal.h"
#include "reactor/base/fd.h"

namespace davit::cli {

namespace {

struct SaveOptions {
    std::string output;
    std::string platform;
};

constexpr Flag save_flags[] = {
    flag<SaveOptions, &SaveOptions::output>(
        "output", 'o', "string", "Write to a file, instead of STDOUT"),
    flag<SaveOptions, &SaveOptions::platform>(
        "platform", 0, "string", "Platform that the images must be for (os/arch[/variant])"),
};

Task<int> save(Context& context, SaveOptions options, Arguments arguments) {
    CO_CHECK(archive_target_check(context, options.output, "save"));
    CO_TRY(ApiClient * api, context.api());
    ApiCall call{"GET", "/images/get"};
    for (const std::string& name : arguments) {
        call.query.add("names", name);
    }
    CO_CHECK(platform_query_add(call, options.platform));
    CO_TRY(ApiStream stream, co_await api->open(std::move(call)));
    CO_CHECK(co_await archive_receive(context, std::move(stream), options.output));
    co_return 0;
}

struct LoadOptions {
    std::string input;
    std::string platform;
    bool quiet = false;
};

constexpr Flag load_flags[] = {
    flag<LoadOptions, &LoadOptions::input>(
        "input", 'i', "string", "Read from a tar archive file, instead of STDIN"),
    flag<LoadOptions, &LoadOptions::platform>(
        "platform", 0, "string", "Load only what is for this platform (os/arch[/variant])"),
    flag<LoadOptions, &LoadOptions::quiet>("quiet", 'q', "", "Suppress the load output"),
};

Task<int> load(Context& context, LoadOptions options, Arguments /*arguments*/) {
    Fd file;
    if (!options.input.empty()) {
        CO_TRY(file, Fd::open(options.input, O_RDONLY));
    } else if (is_terminal(context.fds().in)) {
        co_return Error(ErrorKind::invalid_argument,
                        "requested load from stdin, but stdin is empty");
    }
    CO_TRY(ApiClient * api, context.api());
    CO_TRY(StdioStream input, StdioStream::open(file ? file.get() : context.fds().in, O_RDONLY));
    ApiCall call{"POST", "/images/load"};
    const bool quiet = options.quiet || !is_terminal(context.fds().out);
    call.query.add("quiet", quiet ? "1" : "0");
    CO_CHECK(platform_query_add(call, options.platform));
    call.producer = [&input](std::span<char> buffer) { return input.read(buffer); };
    CO_TRY(ApiStream stream, co_await api->open(std::move(call)));
    ProgressDisplay display(context.out, false);
    CO_CHECK(co_await progress_follow(stream, display));
    co_return 0;
}

}  // namespace

constexpr Command save_command{
    .name = "save",
    .group = "image",
    .group_names = "save",
    .usage = "[OPTIONS] IMAGE [IMAGE...]",
    .summary = "Save one or more images to a tar archive",
    .count = {.min = 1},
    .flags = save_flags,
    .body = command_body<SaveOptions, save>,
};

constexpr Command load_command{
    .name = "load",
    .group = "image",
    .group_names = "load",
    .usage = "[OPTIONS]",
    .summary = "Make images of a tar archive that was saved",
    .count = {.max = 0},
    .flags = load_flags,
    .body = command_body<LoadOptions, load>,
};

}  // namespace davit::cli
