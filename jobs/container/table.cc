#include "jobs/container/table.h"

#include <algorithm>

namespace davit {

Result<void> ContainerTable::name_check(const std::string& name) const {
    const auto taken = by_name_.find(name);
    if (taken != by_name_.end()) {
        return Error(
            ErrorKind::conflict,
            "Conflict. The container name \"" + name + "\" is already in use by container \"" +
                taken->second.str() +
                "\". You have to remove (or rename) that container to be able to reuse that "
                "name.");
    }
    return ok;
}

Result<void> ContainerTable::insert(std::shared_ptr<Container> container) {
    TRY_VOID(name_check(container->record.name));
    by_name_.emplace(container->record.name, container->id());
    if (!container->record.host_config.links.empty()) {
        linking_.insert(container->id());
    }
    if (container->record.create_key) {
        by_key_.emplace(container->record.create_key->key, container->id());
    }
    by_id_.emplace(container->id().str(), std::move(container));
    return ok;
}

Result<void> ContainerTable::name_reserve(const std::string& name, const ContainerId& id) {
    TRY_VOID(name_check(name));
    by_name_.emplace(name, id);
    return ok;
}

void ContainerTable::erase(const ContainerId& id) {
    const auto found = by_id_.find(id.str());
    if (found == by_id_.end()) {
        return;
    }
    by_name_.erase(found->second->record.name);
    if (found->second->record.create_key) {
        by_key_.erase(found->second->record.create_key->key);
    }
    linking_.erase(id);
    by_id_.erase(found);
}

Result<std::shared_ptr<Container>> ContainerTable::find(std::string_view text) const {
    if (const auto exact = by_id_.find(text); exact != by_id_.end()) {
        return exact->second;
    }
    const std::string name = text.starts_with('/') ? std::string(text) : "/" + std::string(text);
    if (const auto named = by_name_.find(name); named != by_name_.end()) {
        return by_id_.find(named->second.str())->second;
    }
    const auto first = by_id_.lower_bound(text);
    if (text.empty() || first == by_id_.end() || !first->first.starts_with(text)) {
        return Error(ErrorKind::not_found, "No such container: " + std::string(text));
    }
    if (const auto next = std::next(first); next != by_id_.end() && next->first.starts_with(text)) {
        return Error(ErrorKind::invalid_argument,
                     "multiple IDs found with provided prefix: " + std::string(text));
    }
    return first->second;
}

std::shared_ptr<Container> ContainerTable::find_key(std::string_view key) const {
    const auto keyed = by_key_.find(key);
    return keyed == by_key_.end() ? nullptr : by_id_.find(keyed->second.str())->second;
}

std::vector<std::shared_ptr<Container>> ContainerTable::list() const {
    std::vector<std::shared_ptr<Container>> all;
    all.reserve(by_id_.size());
    for (const auto& [id, container] : by_id_) {
        all.push_back(container);
    }
    std::ranges::stable_sort(
        all, [](const auto& a, const auto& b) { return a->record.created > b->record.created; });
    return all;
}

std::vector<std::shared_ptr<Container>> ContainerTable::linking() const {
    std::vector<std::shared_ptr<Container>> all;
    for (const ContainerId& id : linking_) {
        all.push_back(by_id_.find(id.str())->second);
    }
    return all;
}

bool ContainerTable::has_rw_name(std::string_view name) const {
    return std::ranges::any_of(
        by_id_, [&](const auto& entry) { return entry.second->record.rw_name == name; });
}

ContainerCounts ContainerTable::counts() const {
    ContainerCounts counts;
    counts.total = by_id_.size();
    for (const auto& [id, container] : by_id_) {
        const ContainerState state = container->record.state.status;
        counts.running +=
            state == ContainerState::running || state == ContainerState::restarting ? 1 : 0;
        counts.paused += state == ContainerState::paused ? 1 : 0;
    }
    return counts;
}

}  // namespace davit
