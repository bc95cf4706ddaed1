#include "jobs/container_keys.h"

#include <algorithm>

#include "jobs/container/table.h"

namespace davit {

namespace {

constexpr std::size_t key_bytes_max = 255;

Result<void> key_check(std::string_view key) {
    const bool printable =
        std::ranges::all_of(key, [](char byte) { return byte >= ' ' && byte <= '~'; });
    if (key.empty() || key.size() > key_bytes_max || !printable) {
        return Error(ErrorKind::invalid_argument,
                     "invalid idempotency key: it must have 1 to " + std::to_string(key_bytes_max) +
                         " printable ASCII characters");
    }
    return ok;
}

}  // namespace

Result<std::string> container_key_choose(std::string_view header, const std::string* label) {
    if (header.empty() && label == nullptr) {
        return std::string();
    }
    if (!header.empty() && label != nullptr && header != *label) {
        return Error(ErrorKind::invalid_argument,
                     "the header Idempotency-Key and the label " + std::string(idempotency_label) +
                         " have different keys");
    }
    std::string key(label != nullptr ? std::string_view(*label) : header);
    TRY_VOID(key_check(key));
    return key;
}

Digest container_key_request(std::string_view body,
                             std::string_view name,
                             std::string_view platform) {
    Hasher hasher;
    // Neither of these has a zero byte in it.
    hasher.update(name);
    hasher.update(std::string_view("\0", 1));
    hasher.update(platform);
    hasher.update(std::string_view("\0", 1));
    hasher.update(body);
    return hasher.finish();
}

Result<std::shared_ptr<Container>> container_key_find(const ContainerTable& containers,
                                                      const CreateKey& wanted) {
    std::shared_ptr<Container> container = containers.find_key(wanted.key);
    if (container && container->record.create_key->request != wanted.request) {
        return Error(ErrorKind::conflict,
                     "Conflict. The idempotency key \"" + wanted.key +
                         "\" was used for another request, which made container \"" +
                         container->id().str() +
                         "\". You have to remove that container, or use another key.");
    }
    return container;
}

Task<ContainerKeys::Turn> ContainerKeys::turn(std::string key) {
    if (key.empty()) {
        co_return Turn();
    }
    while (busy_.contains(key)) {
        CO_CHECK(co_await ended_.wait());
    }
    busy_.insert(key);
    co_return Turn(*this, std::move(key));
}

}  // namespace davit
