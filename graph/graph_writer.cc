#include "graph/graph_writer.h"

#include <algorithm>
#include <vector>

#include "reactor/offload.h"

namespace davit {

Task<void> GraphWriter::submit(Request& request) {
    queue_.push_back(&request);
    while (!request.result) {
        if (!leading_) {
            leading_ = true;
            // Not under our own scope: others wait for this commit too.
            static_cast<void>(co_await commit_next().under(nullptr));
            leading_ = false;
            turn_.wake_all();
            continue;
        }
        const Result<void> woken = co_await turn_.wait();
        if (woken) {
            continue;
        }
        if (!request.taken) {
            std::erase(queue_, &request);
            co_return cancelled_error();
        }
        while (!request.result) {
            static_cast<void>(co_await wait_turn().under(nullptr));
        }
    }
    co_return *std::move(request.result);
}

Task<void> GraphWriter::wait_turn() {
    co_return co_await turn_.wait();
}

Task<void> GraphWriter::commit_next() {
    std::vector<Request*> batch;
    std::vector<GraphDb::Update> updates;
    while (!queue_.empty() && batch.size() < limits::graph_batch_updates_max) {
        queue_.front()->taken = true;
        batch.push_back(queue_.front());
        updates.push_back(queue_.front()->update);
        queue_.pop_front();
    }
    auto commit = [this, &updates]() -> Result<std::vector<Result<void>>> {
        return db_.commit_batch(updates);
    };
    auto results = co_await offload(commit);
    for (std::size_t i = 0; i < batch.size(); ++i) {
        batch[i]->result = results ? std::move((*results)[i]) : Result<void>(results.error());
    }
    ++commits_;
    co_return ok;
}

}  // namespace davit
