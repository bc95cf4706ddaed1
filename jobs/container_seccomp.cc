#include "jobs/container_seccomp.h"

#include <algorithm>

#include "jobs/container/spec_build.h"
#include "reactor/base/fd.h"
#include "reactor/offload.h"

namespace davit {

Result<SeccompFilters> SeccompFilters::open(std::string profile, std::string_view kernel_release) {
    SeccompFilters filters;
    filters.kernel_ = kernel_version_parse(kernel_release);
    filters.name_ = std::move(profile);
    filters.profile_ = filters.name_;
    if (filters.name_ != seccomp_builtin && filters.name_ != seccomp_unconfined) {
        const std::string what = "opening seccomp profile (" + filters.name_ + ") failed";
        Result<std::string> contents = file_read(filters.name_, seccomp_profile_bytes_max);
        if (!contents) {
            return std::move(contents).error().context(what);
        }
        filters.profile_ = *std::move(contents);
        const SeccompTarget target{capabilities_default(), filters.kernel_};
        if (const auto read = seccomp_profile_parse(filters.profile_, target); !read) {
            return Error(read.error()).context(what);
        }
    }
    return filters;
}

Task<SeccompFilter> SeccompFilters::of(const ContainerRecord& record) {
    const HostConfig& host = record.host_config;
    const std::string_view wanted = seccomp_wanted(host, profile_);
    SeccompFilter filter;
    if (wanted == seccomp_unconfined) {
        co_return std::move(filter);
    }
    CO_TRY(const CapabilitySet capabilities, container_capabilities(host));
    if (wanted == seccomp_builtin) {
        CO_TRY(filter.program, seccomp_default_filter(capabilities));
        co_return std::move(filter);
    }
    if (const SeccompFilter* known = find(wanted, capabilities)) {
        co_return *known;
    }
    Kept made{std::string(wanted), capabilities, {}};
    const SeccompTarget target{capabilities, kernel_};
    auto compile = [profile = made.profile, target] {
        return seccomp_profile_compile(profile, target);
    };
    CO_TRY(filter, co_await offload(std::move(compile)));
    made.filter = filter;
    keep(std::move(made));
    co_return std::move(filter);
}

const SeccompFilter* SeccompFilters::find(std::string_view profile, CapabilitySet capabilities) {
    const auto found = std::ranges::find_if(kept_, [&](const Kept& kept) {
        return kept.capabilities == capabilities && kept.profile == profile;
    });
    if (found == kept_.end()) {
        return nullptr;
    }
    std::rotate(found, found + 1, kept_.end());
    return &kept_.back().filter;
}

void SeccompFilters::keep(Kept kept) {
    if (find(kept.profile, kept.capabilities) != nullptr) {
        return;  // Another start has compiled it meanwhile.
    }
    if (kept_.size() >= kept_max) {
        kept_.erase(kept_.begin());
    }
    kept_.push_back(std::move(kept));
}

}  // namespace davit
