#include "jobs/system_info.h"

#include <sched.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

#include "reactor/base/fd.h"

namespace davit {

namespace {

/// One variable of os-release(5), unquoted.
std::string os_release_value(const std::string& text, std::string_view name) {
    std::size_t line = 0;
    while (line < text.size()) {
        std::size_t end = text.find('\n', line);
        end = end == std::string::npos ? text.size() : end;
        std::string_view entry = std::string_view(text).substr(line, end - line);
        line = end + 1;
        if (!entry.starts_with(name) || entry.size() <= name.size() || entry[name.size()] != '=') {
            continue;
        }
        entry.remove_prefix(name.size() + 1);
        if (entry.size() >= 2 && (entry.front() == '"' || entry.front() == '\'')) {
            entry = entry.substr(1, entry.size() - 2);
        }
        return std::string(entry);
    }
    return {};
}

}  // namespace

std::string_view go_architecture() {
#if defined(__x86_64__)
    return "amd64";
#elif defined(__aarch64__)
    return "arm64";
#else
#error "davit is built for x86-64 and arm64"
#endif
}

SystemInfo system_info_read() {
    SystemInfo info;
    utsname names{};
    ::uname(&names);
    info.kernel_version = names.release;
    info.architecture = names.machine;
    info.host_name = names.nodename;
    info.go_architecture = go_architecture();
    const auto release = file_read("/etc/os-release");
    info.operating_system = release ? os_release_value(*release, "PRETTY_NAME") : "Linux";
    info.os_version = release ? os_release_value(*release, "VERSION_ID") : "";

    struct sysinfo memory {};

    if (::sysinfo(&memory) == 0) {
        info.memory_bytes = std::uint64_t{memory.totalram} * memory.mem_unit;
    }
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    if (::sched_getaffinity(0, sizeof(cpus), &cpus) == 0) {
        info.cpu_count = CPU_COUNT(&cpus);
    }
    return info;
}

}  // namespace davit
