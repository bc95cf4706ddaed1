// davit import
#include <fcntl.h>

#include "cli/commands/commands.h"
#include "cli/progress.h"
#include "cli/stdio_stream.h"
#include "reactor/base/fd.h"

namespace davit::cli {

namespace {

struct ImportOptions {
    std::vector<std::string> changes;
    std::string message;
    std::string platform;
};

constexpr Flag import_flags[] = {
    flag<ImportOptions, &ImportOptions::changes>(
        "change", 'c', "list", "Dockerfile instruction for the image's configuration"),
    flag<ImportOptions, &ImportOptions::message>("message", 'm', "string", "The image's comment"),
    flag<ImportOptions, &ImportOptions::platform>(
        "platform", 0, "string", "Platform of the image (os/arch[/variant])"),
};

bool is_url(std::string_view source) {
    return source.starts_with("http://") || source.starts_with("https://");
}

Task<int> import(Context& context, ImportOptions options, Arguments arguments) {
    CO_TRY(ApiClient * api, context.api());
    const std::string& source = arguments[0];
    ApiCall call{"POST", "/images/create"};
    call.query.add("fromSrc", is_url(source) ? source : "-");
    if (arguments.size() > 1) {
        call.query.add("repo", arguments[1]);
    }
    for (const std::string& change : options.changes) {
        call.query.add("changes", change);
    }
    if (!options.message.empty()) {
        call.query.add("message", options.message);
    }
    if (!options.platform.empty()) {
        call.query.add("platform", options.platform);
    }
    Fd file;
    std::optional<StdioStream> input;
    if (!is_url(source)) {
        if (source != "-") {
            CO_TRY(file, Fd::open(source, O_RDONLY));
        }
        CO_TRY(StdioStream opened,
               StdioStream::open(file ? file.get() : context.fds().in, O_RDONLY));
        input.emplace(std::move(opened));
        call.producer = [&input](std::span<char> buffer) { return input->read(buffer); };
    }
    CO_TRY(ApiStream stream, co_await api->open(std::move(call)));
    ProgressDisplay display(context.out, false);
    CO_CHECK(co_await progress_follow(stream, display));
    co_return 0;
}

}  // namespace

constexpr Command import_command{
    .name = "import",
    .group = "image",
    .group_names = "import",
    .usage = "[OPTIONS] FILE|URL|- [REPOSITORY[:TAG]]",
    .summary = "Make an image of the contents of a tarball",
    .count = {.min = 1, .max = 2},
    .flags = import_flags,
    .body = command_body<ImportOptions, import>,
};

}  // namespace davit::cli
