#include "jobs/image/progress.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "http/json_writer.h"

namespace davit {

void ProgressQueue::update(const ProgressMessage& message) {
    if (closed_) {
        return;
    }
    if (message.count) {
        // Only behind the id's last step: an older count must not overtake a newer status.
        for (auto waiting = messages_.rbegin(); waiting != messages_.rend(); ++waiting) {
            if (waiting->id != message.id) {
                continue;
            }
            if (waiting->count && waiting->status == message.status) {
                waiting->count = message.count;
                return;
            }
            break;
        }
    }
    messages_.push_back(message);
    readers_.wake_one();
}

void ProgressQueue::close() {
    closed_ = true;
    readers_.wake_all();
}

Task<std::optional<ProgressMessage>> ProgressQueue::next() {
    while (messages_.empty() && !closed_) {
        CO_CHECK(co_await readers_.wait());
    }
    std::optional<ProgressMessage> message;
    if (!messages_.empty()) {
        message.emplace(std::move(messages_.front()));
        messages_.pop_front();
    }
    co_return std::move(message);
}

std::string human_size(std::uint64_t bytes) {
    static constexpr std::array<const char*, 7> units = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    auto size = static_cast<double>(bytes);
    std::size_t unit = 0;
    while (size >= 1000.0 && unit + 1 < units.size()) {
        size /= 1000.0;
        ++unit;
    }
    char text[32];
    (void)std::snprintf(text, sizeof(text), "%.4g%s", size, units[unit]);
    return text;
}

std::string progress_bar(const ProgressCount& count) {
    char numbers[64];
    const std::string current = human_size(count.current);
    if (count.total == 0) {
        (void)std::snprintf(numbers, sizeof(numbers), "%8s", current.c_str());
        return count.current == 0 ? std::string() : numbers;
    }
    constexpr std::size_t width = 50;
    const double part = static_cast<double>(count.current) / static_cast<double>(count.total);
    const std::size_t done =
        std::min(width, static_cast<std::size_t>(part * static_cast<double>(width)));
    std::string bar = "[";
    bar.append(done, '=').append(">").append(width - done, ' ').append("] ");
    if (count.current > count.total) {
        (void)std::snprintf(numbers, sizeof(numbers), "%8s", current.c_str());
    } else {
        (void)std::snprintf(
            numbers, sizeof(numbers), "%8s/%s", current.c_str(), human_size(count.total).c_str());
    }
    return bar + numbers;
}

std::string progress_json(const ProgressMessage& message) {
    std::string out;
    JsonWriter json(out);
    if (!message.stream.empty()) {
        json.begin_object().key("stream").string(message.stream).end_object();
        return out;
    }
    json.begin_object();
    if (!message.status.empty() || message.aux.empty()) {
        json.key("status").string(message.status);
    }
    if (message.count) {
        json.key("progressDetail").begin_object();
        if (message.count->current != 0) {
            json.key("current").number(message.count->current);
        }
        if (message.count->total != 0) {
            json.key("total").number(message.count->total);
        }
        json.end_object();
        if (std::string bar = progress_bar(*message.count); !bar.empty()) {
            json.key("progress").string(bar);
        }
    } else if (message.step || !message.aux.empty()) {
        json.key("progressDetail").begin_object().end_object();
    }
    if (!message.id.empty()) {
        json.key("id").string(message.id);
    }
    if (!message.aux.empty()) {
        json.key("aux").raw(message.aux);
    }
    json.end_object();
    return out;
}

std::string progress_error_json(std::string_view text, int code) {
    std::string out;
    JsonWriter json(out);
    json.begin_object().key("errorDetail").begin_object();
    if (code != 0) {
        json.key("code").number(code);
    }
    json.key("message").string(text).end_object();
    json.key("error").string(text).end_object();
    return out;
}

}  // namespace davit
