#pragma once
/// SeccompFilters: the compiled seccomp filters of containers, and the profile that the daemon
/// gives to those that do not ask for one.
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "jobs/container/record.h"
#include "reactor/task.h"

#include "runtime/seccomp_profile.h"

namespace davit {

class SeccompFilters {
  public:
    SeccompFilters() = default;

    /// Takes:  profile: "builtin", "unconfined" or a file of Docker's format;
    ///         kernel_release: as uname -r gives it.
    /// Errors: what open(2) says of the file; as seccomp_profile_parse(), for a container with the
    ///         default capabilities: no container could be started.
    /// Blocks: reads the file.
    static Result<SeccompFilters> open(std::string profile, std::string_view kernel_release);

    /// The daemon's profile, for GET /info.
    const std::string& name() const { return name_; }

    /// The container's filter. One that was compiled lately, for the same profile and capabilities,
    /// is not compiled again. Errors: as seccomp_profile_compile(); cancelled.
    Task<SeccompFilter> of(const ContainerRecord& record);

  private:
    /// At most 16 of them: half a megabyte of filters, and their profiles.
    static constexpr std::size_t kept_max = 16;

    struct Kept {
        std::string profile;
        CapabilitySet capabilities = 0;
        SeccompFilter filter;
    };

    /// Null if it is not kept; else it is now the one that was used last.
    const SeccompFilter* find(std::string_view profile, CapabilitySet capabilities);
    void keep(Kept kept);

    std::string name_{seccomp_builtin};
    std::string profile_{seccomp_builtin};  // Of a file, its contents.
    KernelVersion kernel_;
    std::vector<Kept> kept_;  // The last is the one that was used last.
};

}  // namespace davit
