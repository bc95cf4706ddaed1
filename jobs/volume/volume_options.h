#pragma once
/// What a volume of the local driver may be called and made of.
///
/// Follows: Docker's volume/local, in whose words it complains; moby/sys/mount for the mount flags.
#include <functional>
#include <map>
#include <string>

#include "reactor/base/result.h"

namespace davit {

/// On volumes that were made without a name.
inline constexpr const char* volume_anonymous_label = "com.docker.volume.anonymous";

/// Errors: invalid_argument.
Result<void> volume_name_check(const std::string& name);

/// Errors: invalid_argument ("invalid option: \"x\"", "missing required option: \"device\"", ...).
Result<void> volume_options_check(const std::map<std::string, std::string>& options);

/// How many bytes may be in it (`size`); 0: as many as there is room for. Errors: invalid_argument.
Result<std::uint64_t> volume_size_parse(const std::map<std::string, std::string>& options);

/// Errors: not_found, unless it is local; as Docker for a plugin that is not there.
Result<void> volume_driver_check(const std::string& driver);

/// The arguments of mount(2) that the options type, device and o amount to.
struct LocalMount {
    std::string device;
    std::string type;
    unsigned long flags = 0;
    unsigned long propagation = 0;  ///< MS_SHARED, ... with MS_REC: a second call; 0: none.
    std::string data;
};

/// Whether there is anything to mount: a volume without these options is a plain directory.
bool volume_is_mounted(const std::map<std::string, std::string>& options);

LocalMount local_mount_parse(const std::map<std::string, std::string>& options);

/// An IPv4 or IPv6 address of a host, as text. Errors: not_found.
using HostResolver = std::function<Result<std::string>(const std::string& host)>;

/// NFS and CIFS in the kernel take addresses, not names: put one in the place of addr's.
/// Blocks: as long as the resolver does.
Result<void> local_mount_resolve(LocalMount& mount, const HostResolver& resolver);

/// getaddrinfo(3). Blocks: as long as the name service does.
Result<std::string> host_resolve(const std::string& host);

/// mount(2) it on a directory. Passwords do not get into the error.
/// Errors: internal, "failed to mount local volume: mount DEVICE:PATH, ...: no such device".
/// Blocks: as long as a server takes to answer.
Result<void> local_mount_attach(const LocalMount& mount, const std::string& path);

/// Take it away, when nothing uses it any more. What is not mounted is fine.
Result<void> local_mount_detach(const std::string& path);

/// Whether something is mounted at exactly this directory. Errors: those of statx(2).
Result<bool> is_mount_point(const std::string& path);

}  // namespace davit
