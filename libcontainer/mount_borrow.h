#pragma once
/// Mounts of a container that runs, for another one that shares its namespaces.
///
/// A mount can be copied only by who is in its mount namespace. That is a thread of ours for the
/// moment, which ends there: nothing of the container's is executed or read, and no process is
/// where the container could see it. What is copied is the mount alone, without what is mounted on
/// it, and with attributes of our own.
///
/// Security: a container that may mount can put something else in the place of what davit mounted.
/// So the path is followed through no symlink, and what is found has to be the kind of file system
/// that was meant: neither anybody's disk nor anything that a process serves.
#include <string>

#include "reactor/base/fd.h"
#include "reactor/base/pid_ref.h"

namespace davit {

/// The tmpfs at a path ("/dev/shm") as a detached mount: nosuid, nodev, noexec, private.
/// Takes:  pidfd of the container's init.
/// Errors: not_found (ESRCH: it has ended); conflict (no tmpfs is mounted there).
/// Blocks: some tens of microseconds, and a thread's life.
Result<Fd> mount_borrow_tmpfs(int pidfd, const std::string& path);

/// The procfs at /proc, as above. That of a container's pid namespace cannot be mounted anew from
/// outside of it.
/// Takes:  the container's init. Should it end meanwhile, and its number be somebody else's, what
/// is
///         given may be a procfs of a namespace that cannot be joined any more.
/// Errors: as above; conflict (it shows another pid namespace than the init's).
Result<Fd> mount_borrow_proc(const PidRef& init);

/// A copy of a part of a mount that is attached nowhere, with what is mounted below, on kernels
/// before 6.15, whose open_tree(2) copies only what is in the caller's mount namespace: a thread of
/// ours has one in which it is attached for the moment. Takes:  mount_fd: not used any more
/// afterwards; part: a descriptor of a directory in it. Errors: any of the system calls'. Blocks:
/// as above.
Result<Fd> mount_part_copy(int mount_fd, int part);

}  // namespace davit
