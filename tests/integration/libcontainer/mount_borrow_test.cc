/// Goal: a container's own /dev/shm and /proc can be had from outside, and nothing that it put in
/// their place. Method: containers with all capabilities that change their mounts, each in its way.
#include "libcontainer/mount_borrow.h"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "libcontainer/mount.h"
#include "tests/integration/libcontainer/harness.h"
#include "tests/support/catch.h"

namespace davit::test {

namespace {

/// A container that has run a script, with all the power there is, and then waits.
class Prepared {
  public:
    explicit Prepared(const std::string& script) : running_(rootfs_, spec(rootfs_, script)) {
        char said[16] = {};
        const ssize_t got = ::read(running_.output(), said, sizeof(said) - 1);
        REQUIRE(got > 0);
        REQUIRE(std::string(said) == "ready\n");
    }

    const PidRef& init() const { return running_.init(); }

    void end() { running_.end(); }

  private:
    static ContainerSpec spec(const Rootfs& rootfs, const std::string& script) {
        for (const char* applet : {"umount", "unshare", "rmdir", "ln"}) {
            rootfs.symlink("busybox", std::string("bin/") + applet);
        }
        DefaultsRequest privileged;
        privileged.privileged = true;
        ContainerSpec made = *container_spec_default(privileged);
        ContainerSpec usual = spec_for_shell("set -e; " + script + "; echo ready; sleep 1000");
        usual.process.capabilities = made.process.capabilities;
        usual.process.seccomp_filter.clear();
        return usual;
    }

    Rootfs rootfs_;
    Running running_;
};

}  // namespace

TEST_CASE("the /dev/shm and /proc of a container that runs are had without what is on them") {
    require_root();
    Prepared container("echo x > /dev/shm/file");
    const auto shm = mount_borrow_tmpfs(container.init().pidfd(), "/dev/shm");
    INFO((shm ? "" : shm.error().message()));
    REQUIRE(shm);
    CHECK(*file_read(shm->get(), "file") == "x\n");
    const auto proc = mount_borrow_proc(container.init());
    INFO((proc ? "" : proc.error().message()));
    REQUIRE(proc);
    CHECK(file_read(proc->get(), "1/comm"));
    CHECK_FALSE(file_read(proc->get(), std::to_string(::getpid()) + "/comm"));
    for (const Fd* mount : {&*shm, &*proc}) {
        struct statvfs info {};

        REQUIRE(::fstatvfs(mount->get(), &info) == 0);
        CHECK((info.f_flag & (ST_NOSUID | ST_NODEV | ST_NOEXEC | ST_RDONLY)) ==
              (ST_NOSUID | ST_NODEV | ST_NOEXEC));
    }
    // The host's mounts and this process's place among them are what they were.
    CHECK(file_read("/proc/self/comm"));
    container.end();
}

TEST_CASE("a container's changes of its mounts are not had for them") {
    const auto [script, path] = GENERATE(table<std::string, std::string>({
        {"umount /dev/shm", "/dev/shm"},
        {"umount /dev/shm; rmdir /dev/shm; ln -s /dev/pts /dev/shm", "/dev/shm"},
        {"umount /dev/shm; rmdir /dev/shm", "/dev/shm"},
        {"mount -o bind /etc /dev/shm", "/dev/shm"},
        {"mount -o bind /proc /dev/shm", "/dev/shm"},
        {"mount -o bind /etc /proc", "/proc"},
        {"mount -o bind /proc/sys /proc", "/proc"},
        {"unshare -p -f mount -t proc proc /proc", "/proc"},
    }));
    INFO(script);
    require_root();
    Prepared container(script);
    const auto got = path == "/proc" ? mount_borrow_proc(container.init())
                                     : mount_borrow_tmpfs(container.init().pidfd(), path);
    REQUIRE_FALSE(got);
    INFO(got.error().message());
    CHECK(got.error().kind() != ErrorKind::internal);
}

TEST_CASE("a container that has ended has no mounts") {
    require_root();
    Prepared container("true");
    const auto pidfd = Fd::duplicate(container.init().pidfd());
    REQUIRE(pidfd);
    container.end();
    const auto got = mount_borrow_tmpfs(pidfd->get(), "/dev/shm");
    REQUIRE_FALSE(got);
    CHECK(got.error().kind() == ErrorKind::not_found);
}

TEST_CASE("a part of a mount that is attached nowhere is copied, and the host's mounts stay") {
    require_root();
    const auto whole = mount_fs_detached("tmpfs", {});
    REQUIRE(whole);
    REQUIRE(::mkdirat(whole->get(), "part", 0755) == 0);
    {
        const auto file = Fd::openat(whole->get(), "part/file", O_WRONLY | O_CREAT, 0644);
        REQUIRE(file);
        REQUIRE(write_all(file->get(), "x"));
    }
    const auto part = Fd::openat(whole->get(), "part", O_PATH | O_DIRECTORY);
    REQUIRE(part);
    const std::string before = *file_read("/proc/self/mountinfo");
    const auto copy = mount_part_copy(whole->get(), part->get());
    INFO((copy ? "" : copy.error().message()));
    REQUIRE(copy);
    CHECK(*file_read(copy->get(), "file") == "x");
    CHECK(*file_read("/proc/self/mountinfo") == before);
}

}  // namespace davit::test
