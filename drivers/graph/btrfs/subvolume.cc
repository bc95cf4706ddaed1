#include "drivers/graph/btrfs/subvolume.h"

#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/btrfs_tree.h>
#include <linux/openat2.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "reactor/base/fd.h"

namespace davit {

namespace {

/// Of the subvolumes inside one: more than anybody needs, and few enough to keep in mind.
constexpr std::size_t nested_max = 65'536;

struct Named {
    Fd parent;
    std::string name;
};

Result<Named> named(int dir, const std::string& path) {
    const std::size_t slash = path.rfind('/');
    Named found;
    found.name = slash == std::string::npos ? path : path.substr(slash + 1);
    const std::string above = slash == std::string::npos ? "." : path.substr(0, slash);
    TRY(found.parent, Fd::openat(dir, above, O_RDONLY | O_DIRECTORY));
    return found;
}

template <std::size_t Size>
Result<void> name_set(char (&to)[Size], const std::string& name) {
    if (name.size() >= Size) {
        return Error::from_errno(ENAMETOOLONG, "btrfs", name);
    }
    std::memcpy(to, name.c_str(), name.size() + 1);
    return ok;
}

Result<void> destroy(int dir, const std::string& name) {
    btrfs_ioctl_vol_args arguments{};
    TRY_VOID(name_set(arguments.name, name));
    if (::ioctl(dir, BTRFS_IOC_SNAP_DESTROY, &arguments) != 0) {
        return Error::from_errno(errno, "ioctl(BTRFS_IOC_SNAP_DESTROY)", name);
    }
    return ok;
}

Result<void> destroy_by_id(int dir, std::uint64_t id) {
    btrfs_ioctl_vol_args_v2 arguments{};
    arguments.flags = BTRFS_SUBVOL_SPEC_BY_ID;
    arguments.subvolid = id;
    if (::ioctl(dir, BTRFS_IOC_SNAP_DESTROY_V2, &arguments) != 0) {
        return Error::from_errno(
            errno, "ioctl(BTRFS_IOC_SNAP_DESTROY_V2)", "subvolume " + std::to_string(id));
    }
    return ok;
}

struct Nested {
    std::string path;  ///< Below the outermost.
    std::uint64_t id;
};

/// The subvolumes directly inside the one at path.
Result<void> nested_add(int top, const std::string& path, std::vector<Nested>& found) {
    TRY(const Fd inside,
        Fd::openat2(top, path, O_RDONLY | O_DIRECTORY, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS));
    btrfs_ioctl_get_subvol_rootref_args references{};
    for (bool more = true; more;) {
        more = false;
        if (::ioctl(inside.get(), BTRFS_IOC_GET_SUBVOL_ROOTREF, &references) != 0) {
            if (errno != EOVERFLOW) {
                return Error::from_errno(errno, "ioctl(BTRFS_IOC_GET_SUBVOL_ROOTREF)", path);
            }
            more = true;  // min_treeid has been moved on.
        }
        for (std::size_t i = 0; i < references.num_items; ++i) {
            btrfs_ioctl_ino_lookup_user_args lookup{};
            lookup.dirid = references.rootref[i].dirid;
            lookup.treeid = references.rootref[i].treeid;
            if (::ioctl(inside.get(), BTRFS_IOC_INO_LOOKUP_USER, &lookup) != 0) {
                return Error::from_errno(errno, "ioctl(BTRFS_IOC_INO_LOOKUP_USER)", path);
            }
            if (found.size() == nested_max) {
                return Error(ErrorKind::resource_exhausted,
                             "more than " + std::to_string(nested_max) + " nested subvolumes");
            }
            found.push_back({path + "/" + lookup.path + lookup.name, lookup.treeid});
        }
    }
    return ok;
}

}  // namespace

bool is_subvolume(int dir, const std::string& path) {
    struct stat status {};

    return ::fstatat(dir, path.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISDIR(status.st_mode) && status.st_ino == BTRFS_FIRST_FREE_OBJECTID;
}

Result<void> subvolume_create(int dir, const std::string& path) {
    TRY(const Named place, named(dir, path));
    btrfs_ioctl_vol_args arguments{};
    TRY_VOID(name_set(arguments.name, place.name));
    if (::ioctl(place.parent.get(), BTRFS_IOC_SUBVOL_CREATE, &arguments) != 0) {
        return Error::from_errno(errno, "ioctl(BTRFS_IOC_SUBVOL_CREATE)", path);
    }
    if (::fchmodat(dir, path.c_str(), 0755, 0) != 0) {
        return Error::from_errno(errno, "fchmodat", path);
    }
    return ok;
}

Result<void> subvolume_snapshot(int dir, const std::string& from, const std::string& to) {
    TRY(const Fd source, Fd::openat(dir, from, O_RDONLY | O_DIRECTORY));
    TRY(const Named place, named(dir, to));
    btrfs_ioctl_vol_args_v2 arguments{};
    arguments.fd = source.get();
    TRY_VOID(name_set(arguments.name, place.name));
    if (::ioctl(place.parent.get(), BTRFS_IOC_SNAP_CREATE_V2, &arguments) != 0) {
        return Error::from_errno(errno, "ioctl(BTRFS_IOC_SNAP_CREATE_V2)", to);
    }
    return ok;
}

Result<void> subvolume_delete(int dir, const std::string& path) {
    TRY(const Named place, named(dir, path));
    Result<void> destroyed = destroy(place.parent.get(), place.name);
    if (destroyed || destroyed.error().errno_value() != ENOTEMPTY) {
        return destroyed;
    }
    TRY(const Fd top, Fd::openat(dir, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    std::vector<Nested> nested;
    TRY_VOID(nested_add(top.get(), ".", nested));
    for (std::size_t i = 0; i < nested.size(); ++i) {
        const std::string inner = nested[i].path;  // The list grows meanwhile.
        TRY_VOID(nested_add(top.get(), inner, nested));
    }
    for (auto one = nested.rbegin(); one != nested.rend(); ++one) {
        TRY_VOID(destroy_by_id(top.get(), one->id));
    }
    return destroy(place.parent.get(), place.name);
}

}  // namespace davit
