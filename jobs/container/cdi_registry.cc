#include "jobs/container/cdi_registry.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <system_error>
#include <utility>

#include "reactor/base/fd.h"

namespace davit {

namespace {

constexpr std::size_t spec_bytes_max = 4U << 20U;  // A spec of 64 GPUs with all files: 200 KiB.
constexpr std::size_t problems_shown_max = 3;

/// Errors of the whole injection begin alike. Follows: moby daemon/cdi.go.
Error injection_failed(ErrorKind kind, const std::string& reason) {
    return Error(kind, "CDI device injection failed: " + reason);
}

std::string joined(const std::vector<std::string>& parts, std::string_view separator) {
    std::string text;
    for (const std::string& part : parts) {
        text.append(text.empty() ? "" : separator).append(part);
    }
    return text;
}

}  // namespace

CdiRegistry CdiRegistry::read(const std::vector<std::string>& directories) {
    CdiRegistry registry;
    for (std::size_t i = 0; i < directories.size(); ++i) {
        registry.directory_read(directories[i], i);
    }
    std::erase_if(registry.devices_, [](const auto& device) { return device.second.conflicts; });
    return registry;
}

void CdiRegistry::directory_read(const std::string& directory, std::size_t index) {
    namespace fs = std::filesystem;
    std::error_code error;
    std::vector<fs::path> paths;
    for (fs::directory_iterator entry(directory, error), end; !error && entry != end;
         entry.increment(error)) {
        const fs::path extension = entry->path().extension();
        std::error_code gone;
        if ((extension == ".json" || extension == ".yaml") && entry->is_regular_file(gone)) {
            paths.push_back(entry->path());
        }
    }
    if (error && error != std::errc::no_such_file_or_directory) {
        problems_.push_back(directory + ": " + error.message());
    }
    std::ranges::sort(paths);
    for (const fs::path& path : paths) {
        if (path.extension() == ".yaml") {
            problems_.push_back(path.string() + ": davit reads specs in JSON only: write it as " +
                                path.stem().string() + ".json (nvidia-ctk: --format=json)");
            continue;
        }
        Result<std::string> text = file_read(path, spec_bytes_max);
        if (!text) {
            problems_.push_back(path.string() + ": " + text.error().message());
            continue;
        }
        Result<CdiSpec> spec = cdi_spec_parse(*text);
        if (!spec) {
            problems_.push_back(path.string() + ": " + spec.error().message());
            continue;
        }
        spec_add({path, *std::move(spec)}, index);
    }
}

void CdiRegistry::spec_add(Source source, std::size_t directory) {
    const std::size_t number = specs_.size();
    for (std::size_t i = 0; i < source.spec.devices.size(); ++i) {
        const std::string name = source.spec.kind + "=" + source.spec.devices[i].name;
        const auto [known, is_new] = devices_.try_emplace(name, Entry{number, i, directory, false});
        if (is_new) {
            continue;
        }
        if (known->second.directory != directory) {
            known->second = {number, i, directory, false};
            continue;
        }
        known->second.conflicts = true;
        problems_.push_back("conflicting device \"" + name + "\" (specs \"" +
                            specs_[known->second.spec].path + "\", \"" + source.path + "\")");
    }
    specs_.push_back(std::move(source));
}

std::vector<std::string> CdiRegistry::device_names() const {
    std::vector<std::string> names;
    for (const auto& [name, entry] : devices_) {
        names.push_back(name);
    }
    return names;
}

bool CdiRegistry::has_kind(const std::string& kind) const {
    const auto first = devices_.lower_bound(kind + "=");
    return first != devices_.end() && first->first.starts_with(kind + "=");
}

Result<CdiEdits> CdiRegistry::edits_of(std::span<const std::string> names) const {
    CdiEdits all;
    std::set<std::size_t> specs;
    std::vector<std::string> unknown;
    for (const std::string& name : names) {
        const auto found = devices_.find(name);
        if (found == devices_.end()) {
            unknown.push_back(name);
            continue;
        }
        const Source& source = specs_[found->second.spec];
        CdiEdits edits;
        if (specs.insert(found->second.spec).second) {
            edits.append(source.spec.edits);
        }
        edits.append(source.spec.devices[found->second.device].edits);
        if (!edits.unsupported.empty()) {
            return injection_failed(
                ErrorKind::unsupported,
                name + " of " + source.path + " needs " + edits.unsupported.front() +
                    ", which davit does not run: take it out of the spec, if the device works "
                    "without it");
        }
        all.append(edits);
    }
    if (unknown.empty()) {
        return all;
    }
    std::string reason = "unresolvable CDI devices " + joined(unknown, ", ");
    if (!problems_.empty()) {
        std::vector<std::string> shown(
            problems_.begin(),
            problems_.begin() +
                static_cast<std::ptrdiff_t>(std::min(problems_.size(), problems_shown_max)));
        reason += " (" + joined(shown, "; ") + ")";
    }
    return injection_failed(ErrorKind::internal, reason);
}

}  // namespace davit
