// davit rename
#include "cli/commands/commands.h"
#include "cli/container_api.h"

namespace davit::cli {

namespace {

struct RenameOptions {};

std::string trimmed(const std::string& text) {
    const std::size_t begin = text.find_first_not_of(" \t\n");
    return begin == std::string::npos
               ? ""
               : text.substr(begin, text.find_last_not_of(" \t\n") + 1 - begin);
}

Task<int> rename(Context& context, RenameOptions, Arguments arguments) {
    const std::string container = trimmed(arguments[0]);
    const std::string name = trimmed(arguments[1]);
    if (container.empty() || name.empty()) {
        co_return Error(ErrorKind::invalid_argument,
                        "Error: Neither old nor new names may be empty");
    }
    CO_TRY(ApiClient * api, context.api());
    ApiCall call{"POST", container_path(container, "rename")};
    call.query.add("name", name);
    if (const Result<std::string> renamed = co_await api->call(std::move(call)); !renamed) {
        context.err.line(renamed.error().message());
        co_return Error(ErrorKind::internal,
                        "Error: failed to rename container named " + container);
    }
    co_return 0;
}

}  // namespace

constexpr Command rename_command{
    .name = "rename",
    .group = "container",
    .group_names = "rename",
    .usage = "CONTAINER NEW_NAME",
    .summary = "Rename a container",
    .count = {.min = 2, .max = 2},
    .body = command_body<RenameOptions, rename>,
};

}  // namespace davit::cli
