#include "reactor/undo.h"

#include "reactor/base/log.h"

namespace davit {

Task<void> Undo::unwind() {
    while (!steps_.empty()) {
        const auto [name, step] = std::move(steps_.back());
        steps_.pop_back();
        Task<void> task = step();
        if (Result<void> done = co_await std::move(task).under(nullptr); !done) {
            LOG_WARN("undo {}: {}, ignoring", name, done.error().message());
        }
    }
    co_return ok;
}

}  // namespace davit
