#pragma once
/// Exactly one container for one idempotency key (DEMAND.md section 2): a client whose create got
/// no answer asks again with the same key, and gets the container that the first call made.
///
/// What a key stands for is in the container's record (CreateKey), so it lives as long as the
/// container, and through restarts and crashes of the daemon. Here are only the turns: of creates
/// with one key at a time, one is under way.
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "jobs/container/container.h"
#include "reactor/async_event.h"
#include "reactor/task.h"

namespace davit {

class ContainerTable;

/// A label of the request to create; the header Idempotency-Key says the same.
inline constexpr std::string_view idempotency_label = "davit.idempotency";

/// The key of a request to create.
/// Takes:  header, label: what it has in either place; label: null for none.
/// Gives:  "" if it has no key.
/// Errors: invalid_argument (empty, longer than 255 bytes, other than printable ASCII; header and
/// label
///         differ).
Result<std::string> container_key_choose(std::string_view header, const std::string* label);

/// What a retry must have in common with the first call: what its body means
/// (http/api/create_body.h), the name and the platform that it asks for.
Digest container_key_request(std::string_view body,
                             std::string_view name,
                             std::string_view platform);

/// The container that a create with this key has made; null if there is none.
/// Errors: conflict (another request has made it).
Result<std::shared_ptr<Container>> container_key_find(const ContainerTable& containers,
                                                      const CreateKey& wanted);

class ContainerKeys {
  public:
    /// Held while a create with its key is under way.
    class [[nodiscard]] Turn {
      public:
        Turn() = default;

        Turn(Turn&& other) noexcept
            : keys_(std::exchange(other.keys_, nullptr)), key_(std::move(other.key_)) {}

        Turn& operator=(Turn&& other) noexcept {
            std::swap(keys_, other.keys_);
            std::swap(key_, other.key_);
            return *this;
        }

        Turn(const Turn&) = delete;
        Turn& operator=(const Turn&) = delete;

        ~Turn() {
            if (keys_ != nullptr) {
                keys_->busy_.erase(key_);
                keys_->ended_.wake_all();
            }
        }

      private:
        friend class ContainerKeys;

        Turn(ContainerKeys& keys, std::string key) : keys_(&keys), key_(std::move(key)) {}

        ContainerKeys* keys_ = nullptr;
        std::string key_;
    };

    /// Wait until no create with this key is under way. Without a key: at once. Errors: cancelled.
    Task<Turn> turn(std::string key);

  private:
    std::set<std::string> busy_;
    WaitList ended_;
};

}  // namespace davit
