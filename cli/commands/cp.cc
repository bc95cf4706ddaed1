// davit cp
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/archive_file.h"
#include "cli/commands/commands.h"
#include "cli/container_api.h"
#include "cli/copy_path.h"
#include "cli/stdio_stream.h"
#include "cli/terminal.h"
#include "cli/units.h"
#include "graph/layer_extract.h"
#include "graph/tree_archive.h"
#include "http/json_reader.h"
#include "http/registry/base64.h"
#include "reactor/base/limits.h"
#include "reactor/offload.h"

namespace davit::cli {

namespace {

/// Go's os.FileMode.
constexpr std::uint32_t mode_directory = 1U << 31;
constexpr std::uint32_t mode_symlink = 1U << 27;
constexpr std::uint32_t mode_device = 1U << 26;

struct CopyOptions {
    bool archive = false;
    bool follow_link = false;
    bool quiet = false;
};

constexpr Flag cp_flags[] = {
    flag<CopyOptions, &CopyOptions::archive>(
        "archive", 'a', "", "Archive mode (copy all uid/gid information)"),
    flag<CopyOptions, &CopyOptions::follow_link>(
        "follow-link", 'L', "", "Always follow symlinks in SRC_PATH"),
    flag<CopyOptions, &CopyOptions::quiet>("quiet", 'q', "", "Do not tell what was copied"),
};

/// X-Docker-Container-Path-Stat.
struct RemoteStat {
    std::uint32_t mode = 0;
    std::string link_target;
};

Result<RemoteStat> remote_stat_parse(const ApiStream& stream) {
    TRY(const std::string text,
        base64_decode(stream.headers().get("X-Docker-Container-Path-Stat")));
    TRY(const JsonDocument document, JsonDocument::parse(text));
    RemoteStat stat;
    TRY(const std::int64_t mode, document.root().int64_or("mode", 0));
    stat.mode = static_cast<std::uint32_t>(mode);
    TRY(stat.link_target, document.root().string_or("linkTarget", ""));
    return stat;
}

ApiCall archive_call(std::string method, const std::string& container, const std::string& path) {
    ApiCall call{std::move(method), container_path(container, "archive")};
    call.query.add("path", path);
    return call;
}

Task<RemoteStat> remote_stat(ApiClient& api, std::string container, std::string path) {
    ApiCall call = archive_call("HEAD", container, path);
    CO_TRY(const ApiStream stream, co_await api.open(std::move(call)));
    co_return remote_stat_parse(stream);
}

/// Where a link in a container leads, as a path of its own.
std::string remote_link(const std::string& path, const RemoteStat& stat) {
    return stat.link_target.starts_with('/')
               ? stat.link_target
               : copy_path_split(path).directory + "/" + stat.link_target;
}

void summary(Context& context,
             const CopyOptions& options,
             std::uint64_t bytes,
             const std::string& to) {
    if (!options.quiet && is_terminal(context.fds().out)) {
        context.err.line("Successfully copied " + size_text(static_cast<double>(bytes), 3) +
                         " to " + to);
    }
}

Task<std::uint64_t> unpack(ApiStream& stream, LayerExtract& extract) {
    std::uint64_t bytes = 0;
    std::vector<char> buffer(limits::layer_chunk_bytes);
    for (;;) {
        CO_TRY(const std::size_t got, co_await stream.read(buffer));
        if (got == 0) {
            auto finish = [&extract] { return extract.finish(); };
            CO_CHECK(co_await offload(finish));
            co_return bytes;
        }
        const void* data = buffer.data();
        const std::span<const std::uint8_t> piece(static_cast<const std::uint8_t*>(data), got);
        auto feed = [&extract, piece] { return extract.feed(piece); };
        CO_CHECK(co_await offload(feed));
        bytes += got;
    }
}

/// What arrives here is the user's own, whoever's it was, as with Docker.
Result<LayerExtract> extract_open(const CopyPlan& plan, const std::string& rebase_name) {
    auto into = std::make_shared<ExtractInto>();
    TRY(into->root, Fd::open("/", O_RDONLY | O_DIRECTORY));
    into->path = plan.directory;
    into->directories_stay = true;
    into->owner = std::pair(::geteuid(), ::getegid());
    into->first_name = plan.name.value_or(rebase_name);
    TRY(Fd directory, Fd::open(plan.directory, O_RDONLY | O_DIRECTORY));
    LayerExtractOptions options;
    options.whiteouts = WhiteoutForm::literal;
    options.into = std::move(into);
    return LayerExtract::open(std::move(directory), std::move(options));
}

Task<int> copy_from(Context& context,
                    const CopyOptions& options,
                    CopyArgument from,
                    std::string to) {
    CO_TRY(ApiClient * api, context.api());
    CopyEnd source;
    source.path = from.path;
    source.exists = true;
    if (to != "-") {
        to = copy_path_absolute(to);
        CO_CHECK(copy_output_check(to));
    }
    if (options.follow_link) {
        const auto stat = co_await remote_stat(*api, from.container, from.path);
        if (stat && (stat->mode & mode_symlink) != 0) {
            source.path = remote_link(from.path, *stat);
            copy_path_rebase(from.path, source);
        }
    }
    ApiCall call = archive_call("GET", from.container, source.path);
    CO_TRY(ApiStream stream, co_await api->open(std::move(call)));
    if (to == "-") {
        CO_CHECK(co_await archive_receive(context, std::move(stream), ""));
        co_return 0;
    }
    CO_TRY(const RemoteStat stat, remote_stat_parse(stream));
    source.is_directory = (stat.mode & mode_directory) != 0;
    CO_TRY(const CopyEnd destination, copy_destination(to));
    CO_TRY(const CopyPlan plan, copy_plan(source, destination));
    CO_TRY(LayerExtract extract, extract_open(plan, source.rebase_name));
    CO_TRY(const std::uint64_t bytes, co_await unpack(stream, extract));
    summary(context, options, bytes, to);
    co_return 0;
}

/// What the destination in the container is. That it cannot be looked at is no error yet: its
/// directory may be there.
Task<CopyEnd> remote_destination(ApiClient& api, CopyArgument to) {
    CopyEnd end;
    end.path = to.path;
    auto stat = co_await remote_stat(api, to.container, to.path);
    if (stat && (stat->mode & mode_symlink) != 0) {
        end.path = remote_link(to.path, *stat);
        stat = co_await remote_stat(api, to.container, end.path);
    }
    if (stat) {
        if ((stat->mode & mode_device) != 0) {
            co_return Error(ErrorKind::invalid_argument,
                            "destination \"" + to.container + ":" + to.path +
                                "\" must be a directory or a regular file: got a device");
        }
        end.exists = true;
        end.is_directory = (stat->mode & mode_directory) != 0;
    }
    co_return std::move(end);
}

Result<TreeArchive> archive_open(const CopyEnd& source, const CopyPlan& plan) {
    const CopySplit split = copy_path_split(source.path);
    std::string name = source.rebase_name.empty() ? split.base : source.rebase_name;
    if (plan.name) {
        name = *plan.name;
    }
    TreeArchiveOptions options;
    options.mounts = true;
    options.top = name == "/" ? "" : name;
    if (!source.is_directory) {
        options.only = split.base;
    }
    TRY(Fd root,
        Fd::open(source.is_directory ? source.path : split.directory, O_RDONLY | O_DIRECTORY));
    return TreeArchive(std::move(root), std::move(options));
}

Task<void> send(ApiClient& api,
                const CopyOptions& options,
                std::string container,
                std::string directory,
                ClientRequest::Producer producer) {
    ApiCall call = archive_call("PUT", container, directory);
    call.query.add("noOverwriteDirNonDir", "true");
    if (options.archive) {
        call.query.add("copyUIDGID", "true");
    }
    call.producer = std::move(producer);
    CO_CHECK(co_await api.call(std::move(call)));
    co_return ok;
}

Task<int> copy_stdin_to(Context& context,
                        ApiClient& api,
                        const CopyOptions& options,
                        const CopyArgument& to,
                        const CopyEnd& destination) {
    if (!destination.is_directory) {
        co_return Error(ErrorKind::invalid_argument,
                        "destination \"" + to.container + ":" + to.path + "\" must be a directory");
    }
    CO_TRY(StdioStream input, StdioStream::open(context.fds().in, O_RDONLY));
    ClientRequest::Producer producer = [&input](std::span<char> buffer) {
        return input.read(buffer);
    };
    CO_CHECK(co_await send(api, options, to.container, destination.path, std::move(producer)));
    co_return 0;
}

Task<int> copy_to(Context& context, const CopyOptions& options, std::string from, CopyArgument to) {
    CO_TRY(ApiClient * api, context.api());
    CO_TRY(const CopyEnd destination, co_await remote_destination(*api, to));
    if (from == "-") {
        co_return co_await copy_stdin_to(context, *api, options, to, destination);
    }
    CO_TRY(const CopyEnd source, copy_source(copy_path_absolute(from), options.follow_link));
    CO_TRY(const CopyPlan plan, copy_plan(source, destination));
    CO_TRY(TreeArchive tree, archive_open(source, plan));
    std::uint64_t bytes = 0;
    ClientRequest::Producer producer = [&tree,
                                        &bytes](std::span<char> buffer) -> Task<std::size_t> {
        void* data = buffer.data();
        const std::span<std::uint8_t> room(static_cast<std::uint8_t*>(data), buffer.size());
        auto read = [&tree, room] { return tree.read(room); };
        CO_TRY(const std::size_t got, co_await offload(read));
        bytes += got;
        co_return got;
    };
    CO_CHECK(co_await send(*api, options, to.container, plan.directory, std::move(producer)));
    summary(context, options, bytes, to.container + ":" + destination.path);
    co_return 0;
}

Task<int> cp(Context& context, CopyOptions options, Arguments arguments) {
    if (arguments[0].empty() || arguments[1].empty()) {
        co_return Error(
            ErrorKind::invalid_argument,
            std::string(arguments[0].empty() ? "source" : "destination") + " can not be empty");
    }
    CopyArgument from = copy_argument_parse(arguments[0]);
    CopyArgument to = copy_argument_parse(arguments[1]);
    if (!from.container.empty() && !to.container.empty()) {
        co_return Error(ErrorKind::invalid_argument, "copying between containers is not supported");
    }
    if (!from.container.empty()) {
        co_return co_await copy_from(context, options, std::move(from), std::move(to.path));
    }
    if (!to.container.empty()) {
        co_return co_await copy_to(context, options, std::move(from.path), std::move(to));
    }
    co_return Error(ErrorKind::invalid_argument, "must specify at least one container source");
}

}  // namespace

constexpr Command cp_command{
    .name = "cp",
    .group = "container",
    .group_names = "cp",
    .usage = "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|- or SRC_PATH|- CONTAINER:DEST_PATH",
    .summary = "Copy files/folders between a container and the local filesystem",
    .count = {.min = 2, .max = 2},
    .flags = cp_flags,
    .body = command_body<CopyOptions, cp>,
};

}  // namespace davit::cli
