// davit export, commit
#include "cli/archive_file.h"
#include "cli/commands/commands.h"
#include "graph/reference.h"
#include "http/json_reader.h"

namespace davit::cli {

namespace {

struct ExportOptions {
    std::string output;
};

constexpr Flag export_flags[] = {
    flag<ExportOptions, &ExportOptions::output>(
        "output", 'o', "string", "Write to a file, instead of STDOUT"),
};

Task<int> export_container(Context& context, ExportOptions options, Arguments arguments) {
    CO_CHECK(archive_target_check(context, options.output, "export"));
    CO_TRY(ApiClient * api, context.api());
    ApiCall call{"GET", "/containers/" + percent_encode(arguments[0]) + "/export"};
    CO_TRY(ApiStream stream, co_await api->open(std::move(call)));
    CO_CHECK(co_await archive_receive(context, std::move(stream), options.output));
    co_return 0;
}

struct CommitOptions {
    std::string author;
    std::vector<std::string> changes;
    std::string message;
    bool pause = true;
};

constexpr Flag commit_flags[] = {
    flag<CommitOptions, &CommitOptions::author>("author", 'a', "string", "The image's author"),
    flag<CommitOptions, &CommitOptions::changes>(
        "change", 'c', "list", "Dockerfile instruction for the image's configuration"),
    flag<CommitOptions, &CommitOptions::message>("message", 'm', "string", "The image's comment"),
    flag<CommitOptions, &CommitOptions::pause>("pause", 'p', "", "Pause the container meanwhile"),
};

Task<int> commit(Context& context, CommitOptions options, Arguments arguments) {
    CO_TRY(ApiClient * api, context.api());
    ApiCall call{"POST", "/commit"};
    call.query.add("container", arguments[0]);
    if (arguments.size() > 1) {
        CO_TRY(const Reference name, Reference::parse(arguments[1]));
        call.query.add("repo", name.familiar_name());
        call.query.add("tag", name.with_default_tag().tag());
    }
    call.query.add("comment", options.message);
    call.query.add("author", options.author);
    call.query.add("pause", options.pause ? "1" : "0");
    for (const std::string& change : options.changes) {
        call.query.add("changes", change);
    }
    call.body = "null";
    CO_TRY(const std::string body, co_await api->call(std::move(call)));
    CO_TRY(const JsonDocument answer, JsonDocument::parse(body));
    CO_TRY(const std::string id, answer.root().string_or("Id", ""));
    context.out.line(id);
    co_return 0;
}

}  // namespace

constexpr Command export_command{
    .name = "export",
    .group = "container",
    .group_names = "export",
    .usage = "[OPTIONS] CONTAINER",
    .summary = "Export a container's filesystem as a tar archive",
    .count = {.min = 1, .max = 1},
    .flags = export_flags,
    .body = command_body<ExportOptions, export_container>,
};

constexpr Command commit_command{
    .name = "commit",
    .group = "container",
    .group_names = "commit",
    .usage = "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
    .summary = "Make an image of a container's changes",
    .count = {.min = 1, .max = 2},
    .flags = commit_flags,
    .body = command_body<CommitOptions, commit>,
};

}  // namespace davit::cli
