#pragma once
/// LayerFlight: one layer on its way in, and those who watch. Only for layer_pool.cc.
#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "jobs/image/layer_pool.h"
#include "reactor/base/clock.h"
#include "reactor/cancel.h"

namespace davit {

/// Tells every watcher what the layer's state is, those who come later as well. Counts go out a few
/// times a second at most.
class LayerProgress {
  public:
    LayerProgress(std::string id, std::uint64_t total) : total_(total) {
        message_.id = std::move(id);
    }

    void watch(ProgressSink& sink) {
        sinks_.push_back(&sink);
        if (!message_.status.empty()) {
            sink.update(message_);
        }
    }

    /// One subscription less of this sink.
    void unwatch(ProgressSink& sink) {
        if (const auto found = std::find(sinks_.begin(), sinks_.end(), &sink);
            found != sinks_.end()) {
            sinks_.erase(found);
        }
    }

    void step(std::string status) {
        message_.status = std::move(status);
        message_.count.reset();
        message_.step = true;
        told_ = MonotonicTime{};
        tell();
    }

    void count(std::string status, std::uint64_t current) {
        const MonotonicTime now = monotonic_now();
        const bool due = message_.status != status || now - told_ >= interval || current == total_;
        message_.status = std::move(status);
        message_.count = ProgressCount{current, total_};
        if (due) {
            told_ = now;
            tell();
        }
    }

  private:
    static constexpr std::chrono::milliseconds interval{100};

    void tell() {
        for (ProgressSink* sink : sinks_) {
            sink->update(message_);
        }
    }

    std::uint64_t total_;
    ProgressMessage message_;
    std::vector<ProgressSink*> sinks_;
    MonotonicTime told_{};
};

struct LayerFlight {
    LayerFlight(LayerWanted wanted_in, std::string id)
        : wanted(std::move(wanted_in)), progress(std::move(id), wanted.blob_bytes) {}

    LayerWanted wanted;
    LayerProgress progress;
    CancelScope scope;
    std::size_t interested = 0;
    AsyncEvent done;
    std::optional<Result<LayerHandle>> outcome;
};

}  // namespace davit
