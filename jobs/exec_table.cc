#include "jobs/exec_table.h"

#include <algorithm>

#include "reactor/base/limits.h"

namespace davit {

namespace {

std::size_t size_of(const Exec& exec) {
    std::size_t bytes = sizeof(Exec) + exec.config.user.size() + exec.config.working_dir.size();
    for (const std::string& word : exec.config.cmd) {
        bytes += sizeof(word) + word.size();
    }
    return bytes;
}

}  // namespace

Result<void> ExecTable::insert(std::shared_ptr<Exec> exec) {
    if (by_id_.size() - ended_.size() >= limits::execs_max) {
        return Error(
            ErrorKind::resource_exhausted,
            "more than " + std::to_string(limits::execs_max) + " execs that have not ended");
    }
    exec->container->exec_ids.push_back(exec->id);
    by_id_.emplace(exec->id.str(), std::move(exec));
    return ok;
}

Result<std::shared_ptr<Exec>> ExecTable::find(std::string_view id) const {
    const auto found = by_id_.find(id);
    if (found == by_id_.end()) {
        return Error(ErrorKind::not_found, "No such exec instance: " + std::string(id));
    }
    return found->second;
}

void ExecTable::ended(const std::shared_ptr<Exec>& exec, MonotonicTime now) {
    std::erase(exec->container->exec_ids, exec->id);
    if (!by_id_.contains(exec->id.str())) {
        return;  // Its container was removed meanwhile.
    }
    exec->config.env = {};
    const std::size_t bytes = size_of(*exec);
    ended_.push_back({exec->id.str(), exec->container->id().str(), now, bytes});
    ended_bytes_ += bytes;
    while (ended_.size() > limits::execs_ended_kept_max ||
           (ended_bytes_ > limits::execs_ended_bytes_max && ended_.size() > 1)) {
        forget_first();
    }
}

void ExecTable::run_ended(const Container& container) {
    std::erase_if(by_id_, [&](const auto& entry) {
        const Exec& exec = *entry.second;
        const bool gone = exec.container.get() == &container && exec.state == ExecState::created;
        if (gone) {
            std::erase(exec.container->exec_ids, exec.id);
        }
        return gone;
    });
}

void ExecTable::container_removed(const Container& container) {
    std::erase_if(ended_, [&](const Ended& ended) {
        const bool gone = ended.container == container.id().str();
        ended_bytes_ -= gone ? ended.bytes : 0;
        return gone;
    });
    std::erase_if(by_id_,
                  [&](const auto& entry) { return entry.second->container.get() == &container; });
}

void ExecTable::expire(MonotonicTime now) {
    while (!ended_.empty() && now - ended_.front().when >= limits::exec_ended_kept) {
        forget_first();
    }
}

void ExecTable::forget_first() {
    by_id_.erase(ended_.front().id);
    ended_bytes_ -= ended_.front().bytes;
    ended_.pop_front();
}

}  // namespace davit
