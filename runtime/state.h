#pragma once
/// RuntimeState: what a runtime without a daemon knows of its containers, one directory for each.
///
///     ROOT/ID/state.json    written before the first cgroup is made, and again when the init is
///     there ROOT/ID/config.json   the bundle's, as it was read ROOT/ID/start         a FIFO in
///     which the init of a created container waits; gone once started
///
/// Who makes a container holds the directory locked (flock(2)) until it is created or taken back,
/// so that one whose maker was killed is told from one that is being made.
///
/// Follows: OCI runtime-spec runtime.md "State"; runc's list for what it adds.
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "reactor/base/fd.h"
#include "reactor/base/pid_ref.h"

namespace davit {

enum class RuntimeStatus : std::uint8_t { creating, created, running, paused, stopped };

/// "creating", ...
std::string_view runtime_status_name(RuntimeStatus status);

struct RuntimeState {
    std::string id;
    std::string bundle;   // Absolute.
    std::string rootfs;   // Absolute.
    std::string cgroup;   // Its path in each hierarchy: "/davit-runc/ID".
    std::string created;  // RFC 3339.
    std::string owner;
    std::map<std::string, std::string> annotations;
    pid_t pid = 0;  // Of its init, as we see it; 0: there is none yet.
    std::uint64_t pid_started =
        0;  // proc_pid_stat(5) starttime: the pid may be somebody else's later.
    bool has_keyring = true;
};

/// The state as the specification has it, for `state` and for hooks.
/// Takes: more: with what runc adds (rootfs, created, owner).
std::string runtime_state_json(const RuntimeState& state, RuntimeStatus status, bool more);

/// A container's directory.
class RuntimeDirectory {
  public:
    /// A new one, locked. Errors: invalid_argument (the id); conflict (it exists).
    static Result<RuntimeDirectory> make(const std::string& root, const std::string& id);

    /// Errors: invalid_argument; not_found ("container does not exist").
    static Result<RuntimeDirectory> open(const std::string& root, const std::string& id);

    Result<void> store(const RuntimeState& state) const;

    /// Errors: not_found (none was stored); corrupt.
    Result<RuntimeState> load() const;

    Result<void> config_store(std::string_view text) const;
    Result<std::string> config_load() const;

    /// The FIFO, open for reading and writing, so that opening does not wait.
    Result<Fd> start_make() const;

    /// Let the init go on. Errors: conflict (nobody waits).
    Result<void> start_release() const;
    bool start_waits() const;

    /// Somebody makes the container just now.
    bool is_locked() const;

    /// Wait until nobody makes it any more. Blocks: until then.
    void lock_wait() const;

    /// From here on others see a container that is made.
    void unlock();

    /// All of it. Safe to repeat.
    Result<void> remove() const;

    /// The ids below a root, sorted; none if it is not there.
    static Result<std::vector<std::string>> list(const std::string& root);

  private:
    RuntimeDirectory(std::string root, std::string id, Fd fd)
        : root_(std::move(root)), id_(std::move(id)), fd_(std::move(fd)) {}

    std::string root_;
    std::string id_;
    Fd fd_;
};

/// proc_pid_stat(5) starttime of a process that has not ended; 0 if there is none.
std::uint64_t process_started(pid_t pid);

/// The init, if it lives. Errors: not_found.
Result<PidRef> runtime_init(const RuntimeState& state);

}  // namespace davit
