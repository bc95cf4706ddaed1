#include "bench/support/image_engine.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>

#include <fmt/format.h>

#include "bench/support/podman.h"
#include "bench/support/process.h"

namespace davit::bench {
namespace {

constexpr std::uint64_t data_root_bytes = 12ULL << 30;
constexpr auto settle_max = std::chrono::seconds(60);

/// A whole file, mapped to be read.
class Mapped {
  public:
    static Result<Mapped> open(const std::string& path) {
        TRY(const Fd file, Fd::open(path, O_RDONLY));

        struct stat found {};

        if (fstat(file.get(), &found) != 0) {
            return Error::from_errno(errno, "fstat", path);
        }
        const auto size = static_cast<std::size_t>(found.st_size);
        void* mapped = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
        if (mapped == MAP_FAILED) {
            return Error::from_errno(errno, "mmap", path);
        }
        return Mapped({static_cast<const char*>(mapped), size});
    }

    Mapped(Mapped&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

    Mapped& operator=(Mapped&&) = delete;
    Mapped(const Mapped&) = delete;
    Mapped& operator=(const Mapped&) = delete;

    ~Mapped() {
        if (!bytes_.empty()) {
            munmap(const_cast<char*>(bytes_.data()), bytes_.size());
        }
    }

    std::string_view bytes() const { return bytes_; }

  private:
    explicit Mapped(std::string_view bytes) : bytes_(bytes) {}

    std::string_view bytes_;
};

class DaemonEngine final : public ImageEngine {
  public:
    DaemonEngine(std::string name, LoopFs filesystem, Engine engine)
        : ImageEngine(std::move(name)),
          filesystem_(std::move(filesystem)),
          engine_(std::move(engine)) {}

    Result<void> pull(const std::string& reference) override {
        const std::size_t colon = reference.rfind(':');
        return engine_.pull_image(reference.substr(0, colon), reference.substr(colon + 1));
    }

    Result<void> load(const std::string& archive) override {
        TRY(const Mapped mapped, Mapped::open(archive));
        return engine_.load_image(mapped.bytes());
    }

    Result<void> save(const std::string& reference) override {
        return engine_.save_image(reference);
    }

    Result<void> remove(const std::string& reference) override {
        TRY_VOID(engine_.remove_image(reference));
        // davit deletes in the background, from here; dockerd has no such directory.
        const std::string trash = filesystem_.path() + "/data/overlay/trash";
        std::error_code failed;
        const MonotonicTime deadline = monotonic_now() + settle_max;
        while (std::filesystem::is_directory(trash, failed) &&
               !std::filesystem::is_empty(trash, failed)) {
            if (monotonic_now() > deadline) {
                return Error(ErrorKind::timed_out, trash + " is not emptied");
            }
            poll(nullptr, 0, 10);
        }
        return ok;
    }

    bool has(const std::string& reference) override {
        return engine_.image_bytes(reference).has_value();
    }

    const Engine* daemon() const override { return &engine_; }

  private:
    LoopFs filesystem_;
    Engine engine_;  // Released before its file system.
};

class Podman final : public ImageEngine {
  public:
    Podman(LoopFs filesystem, std::string base)
        : ImageEngine("podman"), filesystem_(std::move(filesystem)), base_(std::move(base)) {}

    Result<void> pull(const std::string& reference) override {
        return command({"pull", "--quiet", "--tls-verify=false", reference});
    }

    Result<void> load(const std::string& archive) override {
        return command({"load", "--quiet", "--input", archive});
    }

    Result<void> save(const std::string& reference) override {
        return command({"save", "--quiet", "--output", "/dev/null", reference});
    }

    Result<void> remove(const std::string& reference) override {
        if (!has(reference)) {
            return ok;
        }
        return command({"rmi", "--force", reference});
    }

    bool has(const std::string& reference) override {
        return command({"image", "exists", reference}).has_value();
    }

  private:
    Result<void> command(const std::vector<std::string>& arguments) const {
        std::vector<std::string> argv = podman_argv(base_, "runc", filesystem_.path() + "/root");
        argv.insert(argv.end(), arguments.begin(), arguments.end());
        return process_run({argv, {}, base_ + "/log", -1});
    }

    LoopFs filesystem_;
    std::string base_;
};

Result<std::unique_ptr<ImageEngine>> engine_make(const Workspace& workspace,
                                                 const std::string& name,
                                                 const std::string& program) {
    if (program_find(program).empty()) {
        return Error(ErrorKind::not_found, program + " is not installed");
    }
    TRY(const std::string directory, workspace.directory(name));
    TRY(LoopFs filesystem,
        LoopFs::make(directory + "/disk", directory + "/mount", data_root_bytes));
    if (name == "podman") {
        auto podman = std::make_unique<Podman>(std::move(filesystem), directory);
        TRY_VOID(podman->remove("none"));  // Makes its store, and tells whether it can.
        return std::unique_ptr<ImageEngine>(std::move(podman));
    }
    const EngineConfig config = {
        program, directory, filesystem.path() + "/data", name == "davit" ? "" : cgroup_parent()};
    Result<Engine> engine =
        name == "davit" ? Engine::start_davit(config) : Engine::start_dockerd(config);
    if (!engine) {
        return std::move(engine).error();
    }
    return std::unique_ptr<ImageEngine>(
        std::make_unique<DaemonEngine>(name, std::move(filesystem), *std::move(engine)));
}

}  // namespace

Result<std::vector<std::unique_ptr<ImageEngine>>> image_engines_make(const Workspace& workspace,
                                                                     const std::string& davit) {
    std::vector<std::unique_ptr<ImageEngine>> engines;
    const std::pair<std::string, std::string> programs[] = {
        {"davit", davit}, {"dockerd", "dockerd"}, {"podman", "podman"}};
    for (const auto& [name, program] : programs) {
        Result<std::unique_ptr<ImageEngine>> made = engine_make(workspace, name, program);
        if (made) {
            engines.push_back(*std::move(made));
        } else {
            fmt::print("not measured: {}: {}\n", name, made.error().message());
        }
    }
    if (engines.empty()) {
        return Error(ErrorKind::unavailable, "no engine runs here");
    }
    return engines;
}

}  // namespace davit::bench
