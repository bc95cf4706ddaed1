#pragma once
/// What the libcontainer tests share: a root file system made of busybox, and a container run to
/// its end.
#include <string>
#include <vector>

#include "libcontainer/cgroup.h"
#include "libcontainer/defaults.h"
#include "libcontainer/init_binary.h"
#include "libcontainer/launch.h"
#include "libcontainer/mount.h"

namespace davit::test {

/// A root file system below a temporary directory; removed with it.
class Rootfs {
  public:
    Rootfs();
    ~Rootfs();

    Rootfs(const Rootfs&) = delete;
    Rootfs& operator=(const Rootfs&) = delete;

    const std::string& path() const { return path_; }

    /// A file with its folders; mode as given.
    void file(const std::string& name, const std::string& text, unsigned mode = 0644) const;
    void directory(const std::string& name) const;
    void symlink(const std::string& target, const std::string& name) const;
    void remove(const std::string& name) const;

    /// A detached mount of it.
    Fd mount() const;

  private:
    std::string base_;
    std::string path_;
};

struct Outcome {
    std::string output;  // Standard output and error together.
    ExitStatus status;
    std::optional<Error> error;  // What init reported, or launch() itself.
    std::vector<std::string> warnings;
    Fd console;
};

/// What a descriptor gives until its end, or an error.
std::string read_to_end(int fd);

/// A spec with Docker's defaults and this command.
ContainerSpec spec_for(std::vector<std::string> arguments);
ContainerSpec spec_for_shell(const std::string& script);

/// Launch, collect the output, reap.
Outcome run(const ContainerSpec& spec, const Rootfs& rootfs, int cgroup_fd = -1);
Outcome run_with(const ContainerSpec& spec,
                 const Fd& root,
                 std::vector<int> further_registers,
                 int cgroup_fd = -1);

const Fd& init_binary();

/// A container that runs until it is destroyed; nobody reads its output before that.
class Running {
  public:
    explicit Running(const Rootfs& rootfs, ContainerSpec spec = spec_for_shell("sleep 1000"));
    ~Running();

    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;

    void end();

    const PidRef& init() const { return init_; }

    int output() const { return output_.get(); }

  private:
    PidRef init_;
    Fd output_;
};

/// Exit with 77 unless the tests can run here.
void require_root();

/// Block until the process has ended. Never polls: waits on the pidfd.
ExitStatus reap(const PidRef& process);

/// Block until the channel has an event.
InitEvent next_event(int channel);

}  // namespace davit::test
