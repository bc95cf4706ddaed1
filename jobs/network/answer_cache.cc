#include "jobs/network/answer_cache.h"

#include <algorithm>

#include "drivers/net/dns_message.h"

namespace davit {

namespace {

/// Everything that the answer depends on.
std::string key_of(const std::string& query, const std::vector<std::string>& servers) {
    constexpr std::size_t id_bytes = 2;
    std::string key = query.substr(std::min(query.size(), id_bytes));
    for (const std::string& server : servers) {
        key += '\n' + server;
    }
    return key;
}

}  // namespace

std::optional<std::string> AnswerCache::find(const std::string& query,
                                             const std::vector<std::string>& servers,
                                             MonotonicTime now) {
    const auto found = kept_.find(key_of(query, servers));
    if (found == kept_.end() || query.size() < dns_header_bytes) {
        return std::nullopt;
    }
    if (now >= found->second.until) {
        erase(found);
        return std::nullopt;
    }
    std::string answer = found->second.answer;
    dns_id_set(answer, dns_id(query));
    const auto age = std::chrono::duration_cast<std::chrono::seconds>(now - found->second.since);
    if (age.count() > 0) {
        dns_grow_old(answer, static_cast<std::uint32_t>(age.count()));
    }
    return answer;
}

void AnswerCache::put(const std::string& query,
                      const std::vector<std::string>& servers,
                      const std::string& answer,
                      MonotonicTime now) {
    const std::uint32_t lifetime = std::min(dns_lifetime(answer).value_or(0), seconds_max);
    if (lifetime == 0) {
        return;
    }
    std::string key = key_of(query, servers);
    if (const auto before = kept_.find(key); before != kept_.end()) {
        erase(before);
    }
    if (kept_.size() >= answers_max) {
        erase(kept_.find(order_.front()));
    }
    order_.push_back(key);
    kept_.emplace(std::move(key),
                  Kept{answer, now, now + std::chrono::seconds(lifetime), std::prev(order_.end())});
}

void AnswerCache::erase(std::map<std::string, Kept>::iterator kept) {
    order_.erase(kept->second.order);
    kept_.erase(kept);
}

}  // namespace davit
