#pragma once
/// Channel<T>: a bounded queue between coroutines. A full channel holds its writer (back-pressure).
#include <deque>
#include <optional>

#include "reactor/async_event.h"

namespace davit {

template <typename T>
class Channel {
  public:
    explicit Channel(std::size_t capacity) : capacity_(capacity) {}

    /// Wait for room. Errors: cancelled; unavailable when the channel is closed.
    Task<void> send(T value) {
        while (!closed_ && queue_.size() >= capacity_) {
            CO_CHECK(co_await writers_.wait());
        }
        if (closed_) {
            co_return Error(ErrorKind::unavailable, "channel is closed");
        }
        queue_.push_back(std::move(value));
        readers_.wake_one();
        co_return ok;
    }

    /// Without waiting; false when there is no room or the channel is closed.
    bool try_send(T value) {
        if (closed_ || queue_.size() >= capacity_) {
            return false;
        }
        queue_.push_back(std::move(value));
        readers_.wake_one();
        return true;
    }

    /// The next value; nothing when the channel is closed and empty. Errors: cancelled.
    Task<std::optional<T>> receive() {
        while (queue_.empty() && !closed_) {
            CO_CHECK(co_await readers_.wait());
        }
        if (queue_.empty()) {
            co_return std::optional<T>{};
        }
        std::optional<T> value(std::move(queue_.front()));
        queue_.pop_front();
        writers_.wake_one();
        co_return std::move(value);
    }

    /// No more values; readers get what is queued and then nothing.
    void close() {
        closed_ = true;
        readers_.wake_all();
        writers_.wake_all();
    }

    bool closed() const { return closed_; }

    std::size_t size() const { return queue_.size(); }

  private:
    std::size_t capacity_;
    std::deque<T> queue_;
    bool closed_ = false;
    WaitList readers_;
    WaitList writers_;
};

}  // namespace davit
