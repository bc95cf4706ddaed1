#include "tests/support/btrfs_mount.h"

#include <linux/loop.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "reactor/base/fd.h"
#include "tests/support/catch.h"

namespace davit::test {

namespace {

constexpr off_t image_bytes = 512LL << 20;

void make_file_system(const std::string& image) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        ::execlp("mkfs.btrfs", "mkfs.btrfs", "-q", image.c_str(), nullptr);
        ::_exit(errno == ENOENT ? 77 : 1);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        std::puts("skipped: no mkfs.btrfs: scripts/install-deps test");
        std::_Exit(77);
    }
    REQUIRE((WIFEXITED(status) && WEXITSTATUS(status) == 0));
}

/// Programs beside us may take the device that was free a moment ago.
std::pair<Fd, std::string> loop_attach(const std::string& image) {
    const auto file = Fd::open(image, O_RDWR);
    const auto control = Fd::open("/dev/loop-control", O_RDWR);
    REQUIRE(file);
    REQUIRE(control);
    for (int attempt = 0; attempt < 32; ++attempt) {
        const int number = ::ioctl(control->get(), LOOP_CTL_GET_FREE);
        REQUIRE(number >= 0);
        const std::string path = "/dev/loop" + std::to_string(number);
        auto device = Fd::open(path, O_RDWR);
        REQUIRE(device);
        loop_config config{};
        config.fd = static_cast<std::uint32_t>(file->get());
        config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
        if (::ioctl(device->get(), LOOP_CONFIGURE, &config) == 0) {
            return {*std::move(device), path};
        }
        REQUIRE(errno == EBUSY);
    }
    FAIL("no free loop device");
    return {};
}

}  // namespace

void mounts_are_private() {
    if (::geteuid() != 0 || ::unshare(CLONE_NEWNS) != 0 ||
        ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
        std::puts("skipped: mounts need root");
        std::_Exit(77);
    }
}

BtrfsMount::BtrfsMount() {
    std::string name = "/tmp/davit-btrfs-XXXXXX";
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    directory_ = name;
    const std::string image = directory_ + "/image";
    {
        const auto file = Fd::open(image, O_RDWR | O_CREAT | O_EXCL, 0600);
        REQUIRE(file);
        REQUIRE(::ftruncate(file->get(), image_bytes) == 0);
    }
    make_file_system(image);
    REQUIRE(make_directories(path()));
    const auto attached = loop_attach(image);
    // "nobarrier": the image is thrown away, and every commit of the file system would wait for the
    // disk below.
    REQUIRE(::mount(attached.second.c_str(), path().c_str(), "btrfs", MS_NOATIME, "nobarrier") ==
            0);
}

BtrfsMount::~BtrfsMount() {
    ::umount2(path().c_str(), MNT_DETACH);
    static_cast<void>(remove_tree(AT_FDCWD, directory_));
}

}  // namespace davit::test
