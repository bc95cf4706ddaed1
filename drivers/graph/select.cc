#include "drivers/graph/select.h"

#include <fcntl.h>

#include <array>

#include "drivers/graph/btrfs/btrfs_driver.h"
#include "drivers/graph/directory_names.h"
#include "drivers/graph/file_system.h"
#include "drivers/graph/overlay/overlay_driver.h"
#include "drivers/graph/vfs/vfs_driver.h"

namespace davit {

namespace {

using Opened = Result<std::unique_ptr<GraphDriver>>;

template <typename Driver>
Opened open_as(const std::string& data_root) {
    TRY(std::unique_ptr<Driver> driver, Driver::open(data_root));
    return std::unique_ptr<GraphDriver>(std::move(driver));
}

struct DriverEntry {
    std::string_view name;
    std::string_view directory;  ///< Below the data root.
    Opened (*open)(const std::string& data_root);
    /// Taken again for the layers that it left; vfs is only ever the last resort.
    bool is_sticky;
};

/// In the order of preference.
constexpr auto drivers = std::to_array<DriverEntry>({
    {"overlay2", "overlay", open_as<OverlayDriver>, true},
    {"btrfs", "btrfs", open_as<BtrfsDriver>, true},
    {"vfs", "vfs", open_as<VfsDriver>, false},
});

/// Drivers of other engines, and why there is none here.
struct GoneEntry {
    std::string_view name;
    std::string_view why;
};

constexpr auto gone = std::to_array<GoneEntry>({
    {"aufs", "aufs was never part of the kernel and has left the engines: use overlay2"},
    {"devicemapper", "devicemapper has left the engines, and its thin pools with it: use overlay2"},
    {"zfs", "zfs is no part of the kernel: use overlay2, or vfs if the data root is on ZFS"},
    {"fuse-overlayfs",
     "fuse-overlayfs serves those who may not mount overlayfs, and davit runs as root: use "
     "overlay2"},
    {"windowsfilter", "windowsfilter is for Windows: use overlay2"},
});

const DriverEntry* driver_find(std::string_view name) {
    for (const DriverEntry& entry : drivers) {
        if (entry.name == name) {
            return &entry;
        }
    }
    return nullptr;
}

bool is_used(const DriverEntry& entry, const std::string& data_root) {
    const std::string directory = data_root + "/" + std::string(entry.directory);
    for (const char* part : {"/layers", "/rw"}) {
        const auto names = directory_names(AT_FDCWD, directory + part, 1);
        if (names && !names->empty()) {
            return true;
        }
    }
    return false;
}

std::vector<const DriverEntry*> drivers_used(const std::string& data_root) {
    std::vector<const DriverEntry*> used;
    for (const DriverEntry& entry : drivers) {
        if (is_used(entry, data_root)) {
            used.push_back(&entry);
        }
    }
    return used;
}

std::string names_of(const std::vector<const DriverEntry*>& entries) {
    std::string names;
    for (const DriverEntry* entry : entries) {
        names.append(names.empty() ? "" : ", ").append(entry->name);
    }
    return names;
}

Result<GraphDriverChoice> open_wanted(const DriverEntry& entry, const std::string& data_root) {
    GraphDriverChoice choice;
    std::vector<const DriverEntry*> used = drivers_used(data_root);
    std::erase(used, &entry);
    if (!used.empty()) {
        choice.warnings.push_back("data root " + data_root + " has images and containers of " +
                                  names_of(used) + ": they are not seen with storage driver " +
                                  std::string(entry.name));
    }
    TRY(choice.driver, entry.open(data_root));
    return choice;
}

Result<GraphDriverChoice> open_first(const std::string& data_root) {
    GraphDriverChoice choice;
    std::string why;
    for (const DriverEntry& entry : drivers) {
        Opened opened = entry.open(data_root);
        if (opened) {
            choice.driver = *std::move(opened);
            break;
        }
        if (opened.error().kind() != ErrorKind::unsupported) {
            return std::move(opened).error();
        }
        // The first says what is wrong with the place; others are not expected to work there.
        why = why.empty() ? opened.error().message() : why;
    }
    if (!choice.driver) {
        return Error(ErrorKind::unsupported, why);
    }
    if (choice.driver->name() == "vfs") {
        choice.warnings.push_back("storage driver vfs is used, which copies whole file systems: " +
                                  why);
    }
    return choice;
}

}  // namespace

Result<std::string> graph_driver_name(std::string_view wanted) {
    if (wanted == "overlay") {
        return std::string("overlay2");
    }
    if (const DriverEntry* entry = driver_find(wanted)) {
        return std::string(entry->name);
    }
    for (const GoneEntry& entry : gone) {
        if (entry.name == wanted) {
            return Error(ErrorKind::unsupported,
                         "storage driver " + std::string(wanted) +
                             " is not supported: " + std::string(entry.why));
        }
    }
    return Error(
        ErrorKind::unsupported,
        "storage driver " + std::string(wanted) + " is unknown: use overlay2, btrfs or vfs");
}

Result<GraphDriverChoice> graph_driver_open(const std::string& wanted,
                                            const std::string& data_root) {
    if (!wanted.empty()) {
        TRY(const std::string name, graph_driver_name(wanted));
        return open_wanted(*driver_find(name), data_root);
    }
    std::vector<const DriverEntry*> used = drivers_used(data_root);
    std::erase_if(used, [](const DriverEntry* entry) { return !entry->is_sticky; });
    if (used.size() > 1) {
        return Error(ErrorKind::conflict,
                     "data root " + data_root + " has images and containers of several storage " +
                         "drivers (" + names_of(used) + "): choose one with --storage-driver");
    }
    if (used.size() == 1) {
        Result<GraphDriverChoice> again = open_wanted(*used.front(), data_root);
        if (!again) {
            return std::move(again).error().context("the storage driver of this data root",
                                                    used.front()->name);
        }
        return again;
    }
    return open_first(data_root);
}

std::string graph_driver_state_root(const GraphDriver& driver, const std::string& data_root) {
    const DriverEntry* entry = driver_find(driver.name());
    return entry == nullptr || entry == &drivers.front()
               ? data_root
               : data_root + "/" + std::string(entry->directory);
}

}  // namespace davit
