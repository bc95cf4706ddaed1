#include "bench/support/adversity.h"

#include <sys/file.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <future>

#include <fmt/format.h>

#include "bench/support/interrupt.h"
#include "bench/support/process.h"

namespace davit::bench {
namespace {

constexpr std::uint64_t mebibyte = 1 << 20;
/// The lock is held that long, and free for a moment: who waits for it must come through.
constexpr auto lock_held_for = std::chrono::seconds(1);
constexpr auto lock_free_for = std::chrono::milliseconds(100);

/// As much as may be dirty before the kernel lets writers wait, within other bounds.
std::uint64_t dirty_possible(const std::string& directory, std::uint64_t wanted) {
    const std::uint64_t page = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
    const std::uint64_t freerun = (proc_number("/proc/vmstat", "nr_dirty_threshold ") +
                                   proc_number("/proc/vmstat", "nr_dirty_background_threshold ")) /
                                  2 * page;
    const std::uint64_t memory = proc_number("/proc/meminfo", "MemAvailable:") * 1024 / 4;

    struct statvfs disk {};

    const bool known = statvfs(directory.c_str(), &disk) == 0;
    const std::uint64_t room = known ? disk.f_bavail * disk.f_frsize / 2 : 0;
    return std::min({wanted, freerun, memory, room}) / mebibyte * mebibyte;
}

/// Wait for the end of the turn, at most so long.
void await_over(const std::stop_token& over, Nanoseconds limit) {
    std::mutex lock;
    std::condition_variable_any changed;
    std::unique_lock held(lock);
    changed.wait_for(held, over, limit, [] { return false; });
}

}  // namespace

Disturbance::~Disturbance() {
    static_cast<void>(end());
}

void Disturbance::add(Body body) {
    std::promise<void> begun;
    std::future<void> begins = begun.get_future();
    threads_.emplace_back([this, body = std::move(body), begun = std::move(begun)]() mutable {
        const std::stop_token over = over_.get_token();
        begun.set_value();
        Result<void> done = ok;
        while (done && !over.stop_requested()) {
            done = body(over);
            const std::lock_guard guard(lock_);
            rounds_ += done ? 1 : 0;
            if (!done && outcome_) {
                outcome_ = done.error();
            }
        }
    });
    begins.wait();
}

Result<int> Disturbance::end() {
    over_.request_stop();
    for (std::thread& thread : threads_) {
        thread.join();
    }
    threads_.clear();
    if (last_) {
        std::exchange(last_, nullptr)();
    }
    TRY_VOID(std::exchange(outcome_, ok));
    return rounds_;
}

Result<std::string> Adversities::about(Adversity adversity) {
    switch (adversity) {
        case Adversity::none:
            return std::string();
        case Adversity::pull: {
            if (!registry_) {
                TRY(registry_, Registry::start(workspace_));
            }
            return fmt::format("an image of one layer of {:.1f} MiB, pulled and removed in a loop",
                               static_cast<double>(registry_->layer_bytes()) / mebibyte);
        }
        case Adversity::prune:
            return fmt::format("{} containers, created and pruned in a loop", Steward::victims);
        case Adversity::removes:
            return fmt::format("{} containers, created and removed at once in a loop",
                               Steward::victims);
        case Adversity::dirty: {
            const std::uint64_t bytes = dirty_possible(workspace_.path(), dirty_bytes_);
            if (bytes == 0) {
                return Error(ErrorKind::resource_exhausted, "no memory or disk for dirty pages");
            }
            return fmt::format("{} MiB written before each turn, {} of them wanted",
                               bytes / mebibyte,
                               dirty_bytes_ / mebibyte);
        }
        case Adversity::xtables: {
            const std::string version = program_version("iptables");
            if (version.empty()) {
                return Error(ErrorKind::not_found, "iptables is not installed");
            }
            const bool legacy = version.find("nf_tables") == std::string::npos;
            return fmt::format("{} held for 1 s and free for 0.1 s in turn; {} takes {} lock",
                               xtables_lock,
                               version,
                               legacy ? "this" : "no");
        }
        case Adversity::cpu:
            return fmt::format("{} threads that compute", std::thread::hardware_concurrency());
    }
    return Error(ErrorKind::unsupported, "no such adversity");
}

Result<void> Adversities::prepare(Adversity adversity, JsonLines& json) {
    TRY(const std::string text, about(adversity));
    if (adversity != Adversity::none) {
        fmt::print("{}: {}\n", name_of(adversity), text);
        json.write({{"bench", "startup"},
                    {"kind", "adversity"},
                    {"adversity", name_of(adversity)},
                    {"about", text}},
                   {});
    }
    return ok;
}

Result<std::unique_ptr<Disturbance>> Adversities::begin(Adversity adversity, Steward* steward) {
    auto disturbance = std::make_unique<Disturbance>();
    const bool of_engine = adversity == Adversity::pull || adversity == Adversity::prune ||
                           adversity == Adversity::removes;
    if (of_engine && steward == nullptr) {
        return Error(ErrorKind::unsupported, "there is no engine");
    }
    if (of_engine && !steward->can(adversity)) {
        return Error(ErrorKind::unsupported,
                     fmt::format("{} has no {}", steward->engine(), name_of(adversity)));
    }
    switch (adversity) {
        case Adversity::none:
            break;
        case Adversity::pull:
            disturbance->add([steward, registry = registry_.get()](const std::stop_token&) {
                return steward->pull(registry->repository(), Registry::tag);
            });
            break;
        case Adversity::prune:
            disturbance->add([steward](const std::stop_token&) { return steward->prune(); });
            break;
        case Adversity::removes:
            disturbance->add([steward](const std::stop_token&) { return steward->removes(); });
            break;
        case Adversity::dirty:
            return dirty();
        case Adversity::xtables:
            return lock_held();
        case Adversity::cpu:
            for (unsigned core = 0; core < std::thread::hardware_concurrency(); ++core) {
                disturbance->add([](const std::stop_token& over) -> Result<void> {
                    while (!over.stop_requested()) {
                    }
                    return ok;
                });
            }
            break;
    }
    return disturbance;
}

/// A file of the workspace, whose pages are thrown away unwritten as far as they still can be.
Result<std::unique_ptr<Disturbance>> Adversities::dirty() const {
    const std::string path = workspace_.path() + "/dirty";
    TRY(Fd file, Fd::open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600));
    auto disturbance = std::make_unique<Disturbance>();
    disturbance->afterwards([path, directory = workspace_.path()] {
        unlink(path.c_str());
        // What is on its way to the disk is not the next turn's.
        if (const Result<Fd> opened = Fd::open(directory, O_RDONLY)) {
            static_cast<void>(syncfs(opened->get()));
        }
    });
    const std::string piece(mebibyte, 'x');
    const std::uint64_t bytes = dirty_possible(workspace_.path(), dirty_bytes_);
    for (std::uint64_t written = 0; written < bytes; written += mebibyte) {
        TRY_VOID(write_all(file.get(), piece));
        if (interrupted()) {
            return Error(ErrorKind::cancelled, "interrupted");
        }
    }
    return disturbance;
}

Result<std::unique_ptr<Disturbance>> Adversities::lock_held() const {
    const std::string path = geteuid() == 0 ? xtables_lock : workspace_.path() + "/xtables.lock";
    TRY(Fd opened, Fd::open(path, O_RDONLY | O_CREAT, 0600));
    // Held already when this returns.
    if (flock(opened.get(), LOCK_EX) != 0) {
        return Error::from_errno(errno, "flock", path);
    }
    auto file = std::make_shared<Fd>(std::move(opened));
    auto disturbance = std::make_unique<Disturbance>();
    disturbance->add([file, path](const std::stop_token& over) -> Result<void> {
        if (flock(file->get(), LOCK_EX) != 0) {
            return Error::from_errno(errno, "flock", path);
        }
        await_over(over, lock_held_for);
        flock(file->get(), LOCK_UN);
        await_over(over, lock_free_for);
        return ok;
    });
    return disturbance;
}

}  // namespace davit::bench
