#include "cli/container_create.h"

#include <unistd.h>

#include <cerrno>

#include <fmt/format.h>

#include "cli/image_pull.h"
#include "http/json_reader.h"
#include "reactor/base/fd.h"

namespace davit::cli {

namespace {

/// The --cidfile, made before the container so that two runs cannot share one, and removed again if
/// no id was written to it.
class CidFile {
  public:
    static Result<CidFile> make(const std::string& path) {
        CidFile file;
        if (path.empty()) {
            return file;
        }
        auto fd = Fd::open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
        if (!fd && fd.error().errno_value() == EEXIST) {
            return Error(ErrorKind::conflict,
                         fmt::format("container ID file found, make sure the other container isn't "
                                     "running or delete {}",
                                     path));
        }
        if (!fd) {
            return std::move(fd.error()).context("failed to create the container ID file");
        }
        file.fd_ = *std::move(fd);
        file.path_ = path;
        return file;
    }

    CidFile(CidFile&& other) noexcept
        : fd_(std::move(other.fd_)), path_(std::exchange(other.path_, {})) {}

    CidFile& operator=(CidFile&&) = delete;
    CidFile(const CidFile&) = delete;
    CidFile& operator=(const CidFile&) = delete;

    ~CidFile() {
        if (!path_.empty()) {
            ::unlink(path_.c_str());
        }
    }

    Result<void> write(std::string_view id) {
        if (!path_.empty()) {
            TRY_VOID(write_all(fd_.get(), id));
            path_.clear();
        }
        return ok;
    }

  private:
    CidFile() = default;

    Fd fd_;
    std::string path_;
};

Task<void> pull_for_create(Context& context,
                           ApiClient& api,
                           const CreateOptions& options,
                           std::string image) {
    CO_TRY(Reference reference, Reference::parse(image));
    PullRequest request{reference.with_default_tag(), options.platform, false, options.quiet};
    // What the container prints goes to stdout; the pull must not mix with it.
    co_return co_await image_pull(context, api, std::move(request), context.err);
}

Result<void> pull_policy_check(const std::string& policy) {
    if (policy != "always" && policy != "missing" && policy != "never") {
        return Error(ErrorKind::invalid_argument,
                     fmt::format("invalid pull option: '{}': must be one of \"always\", "
                                 "\"missing\" or \"never\"",
                                 policy));
    }
    return ok;
}

Task<CreateAnswer> post_create(ApiClient& api, const CreateRequest& request) {
    ApiCall call{"POST", "/containers/create", request.query, request.body};
    CO_TRY(const std::string body, co_await api.call(std::move(call)));
    CO_TRY(const JsonDocument document, JsonDocument::parse(body));
    CreateAnswer answer;
    CO_TRY(answer.warnings, document.root().strings("Warnings"));
    CO_TRY(answer.id, document.root().string_or("Id", ""));
    co_return std::move(answer);
}

}  // namespace

Task<std::string> container_create(Context& context,
                                   ApiClient& api,
                                   const CreateOptions& options,
                                   CreateRequest request,
                                   std::string image) {
    co_return co_await container_create_by(
        context, api, options, std::move(image), [&api, &request] {
            return post_create(api, request);
        });
}

Task<std::string> container_create_by(Context& context,
                                      ApiClient& api,
                                      const CreateOptions& options,
                                      std::string image,
                                      CreatePost post) {
    CO_CHECK(pull_policy_check(options.pull));
    CO_TRY(CidFile cid_file, CidFile::make(options.cidfile));
    if (options.pull == "always") {
        CO_CHECK(co_await pull_for_create(context, api, options, image));
    }
    Result<CreateAnswer> answer = co_await post();
    if (!answer && answer.error().kind() == ErrorKind::not_found && options.pull == "missing") {
        if (!options.quiet) {
            const Result<Reference> reference = Reference::parse(image);
            context.err.line(
                fmt::format("Unable to find image '{}' locally",
                            reference ? reference->with_default_tag().familiar() : image));
            context.err.flush();
        }
        CO_CHECK(co_await pull_for_create(context, api, options, image));
        answer = co_await post();
    }
    CO_TRY(CreateAnswer created, std::move(answer));
    for (const std::string& warning : created.warnings) {
        context.err.line("WARNING: " + warning);
    }
    if (created.id.empty()) {
        co_return Error(ErrorKind::corrupt, "the daemon's answer to create has no Id");
    }
    CO_CHECK(cid_file.write(created.id));
    context.err.flush();
    co_return std::move(created.id);
}

}  // namespace davit::cli
