#include "bench/support/loop_fs.h"

#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>

#include <fmt/format.h>

#include "bench/support/process.h"

namespace davit::bench {
namespace {

/// Several programs may race for the same free device; the loser asks again.
constexpr int attach_attempts_max = 32;

Result<std::pair<Fd, std::string>> loop_attach(const std::string& image_path) {
    TRY(Fd image, Fd::open(image_path, O_RDWR));
    TRY(Fd control, Fd::open("/dev/loop-control", O_RDWR));
    for (int attempt = 0; attempt < attach_attempts_max; ++attempt) {
        const int number = ioctl(control.get(), LOOP_CTL_GET_FREE);
        if (number < 0) {
            return Error::from_errno(errno, "LOOP_CTL_GET_FREE");
        }
        const std::string path = fmt::format("/dev/loop{}", number);
        TRY(Fd device, Fd::open(path, O_RDWR));
        loop_config config{};
        config.fd = static_cast<std::uint32_t>(image.get());
        config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
        if (ioctl(device.get(), LOOP_CONFIGURE, &config) == 0) {
            return std::pair(std::move(device), path);
        }
        if (errno != EBUSY) {
            return Error::from_errno(errno, "LOOP_CONFIGURE", path);
        }
    }
    return Error(ErrorKind::resource_exhausted, "no free loop device");
}

}  // namespace

Result<LoopFs> LoopFs::make(const std::string& image_path,
                            const std::string& mount_point,
                            std::uint64_t bytes) {
    TRY(Fd image, Fd::open(image_path, O_RDWR | O_CREAT | O_EXCL, 0600));
    if (ftruncate(image.get(), static_cast<off_t>(bytes)) != 0) {
        return Error::from_errno(errno, "ftruncate", image_path);
    }
    // All tables are written now: lazy initialisation would run during the measurement.
    const SpawnOptions mkfs = {{"mkfs.ext4",
                                "-q",
                                "-F",
                                "-E",
                                "nodiscard,lazy_itable_init=0,lazy_journal_init=0",
                                image_path},
                               {},
                               image_path + ".log",
                               -1};
    TRY_VOID(process_run(mkfs));
    TRY_VOID(make_directories(mount_point));
    TRY(auto attached, loop_attach(image_path));
    if (mount(attached.second.c_str(), mount_point.c_str(), "ext4", MS_NOATIME, nullptr) != 0) {
        return Error::from_errno(errno, "mount", mount_point);
    }
    return LoopFs(mount_point);
}

LoopFs::~LoopFs() {
    if (!mount_point_.empty() && umount2(mount_point_.c_str(), MNT_DETACH) != 0) {
        fmt::print(stderr, "umount {}: {}, ignoring\n", mount_point_, errno_text(errno));
    }
}

}  // namespace davit::bench
