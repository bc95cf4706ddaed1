#pragma once
/// The device filter of a cgroup v2: a BPF program, for there is no file that takes rules.
///
/// Follows: kernel admin-guide/cgroup-v2.rst "Device controller"; bpf(2); linux/bpf.h, struct
/// bpf_cgroup_dev_ctx.
#include <linux/bpf.h>

#include <span>
#include <vector>

#include "libcontainer/device_rule.h"
#include "reactor/base/fd.h"

namespace davit {

/// The instructions of a BPF_PROG_TYPE_CGROUP_DEVICE program that lets pass what a rule allows and
/// nothing else. As with v1's file, one rule (or several for the same numbers together) must allow
/// all of an access.
std::vector<bpf_insn> device_filter_compile(std::span<const DeviceRule> rules);

/// Filter all that the processes in a v2 cgroup and below it do from now on, beside the filters
/// that are there. It stays until the cgroup is removed.
/// Takes:  cgroup: its directory.
/// Errors: permission_denied (no CAP_BPF or CAP_SYS_ADMIN, or a host that forbids bpf(2));
///         unsupported (a kernel without CONFIG_CGROUP_BPF).
/// Blocks: for the verifier, some tens of microseconds.
Result<void> device_filter_attach(int cgroup, std::span<const DeviceRule> rules);

}  // namespace davit
