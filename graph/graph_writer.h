#pragma once
/// GraphWriter: updates of a durable GraphDb from the loop, many to a commit.
///
///     CO_TRY(const ImageRecord image, co_await writer.update(put_image));
///
/// A commit waits for the disk, so it runs on the worker pool; what is asked for meanwhile waits
/// and goes with the next commit. There is no writer task: of those who wait, the first takes the
/// turn and commits for all. Each caller is answered after its change is on disk, or rolled back
/// alone.
#include <deque>
#include <optional>
#include <type_traits>
#include <utility>

#include "graph/graph_db.h"
#include "reactor/async_event.h"
#include "reactor/task.h"

namespace davit {

class GraphWriter {
  public:
    explicit GraphWriter(GraphDb& db) : db_(db) {}

    GraphWriter(const GraphWriter&) = delete;
    GraphWriter& operator=(const GraphWriter&) = delete;

    ~GraphWriter() {
        assert(queue_.empty() && !leading_ && "a GraphWriter dies before its callers");
    }

    /// Run f(WriteTxn&) -> Result<T> in a transaction and await its commit.
    /// Takes:  a function that owns what it needs, or refers to what its caller keeps untouched
    /// until
    ///         the answer: it runs on a worker thread, and again if the map has to grow. g++ 12:
    ///         name it on the line above and move it in.
    /// Errors: f's, rolled back; the commit's.
    /// Cancel: until its commit begins; from then on the outcome is waited for.
    template <typename F>
    auto update(F f) -> Task<typename std::invoke_result_t<F&, WriteTxn&>::value_type> {
        using R = std::invoke_result_t<F&, WriteTxn&>;
        std::optional<R> outcome;
        auto body = [&f, &outcome](WriteTxn& txn) -> Result<void> {
            outcome.emplace(f(txn));
            if (!*outcome) {
                return outcome->error();
            }
            return ok;
        };
        Request request{GraphDb::Update(body), std::nullopt, false};
        Result<void> committed = co_await submit(request);
        if (!committed) {
            co_return std::move(committed).error();
        }
        co_return *std::move(outcome);
    }

    /// Commits so far; less than the updates, if some went together.
    std::uint64_t commits() const { return commits_; }

  private:
    struct Request {
        GraphDb::Update update;
        std::optional<Result<void>> result;
        /// Taken off the queue: its commit has begun.
        bool taken;
    };

    Task<void> submit(Request& request);
    Task<void> commit_next();
    Task<void> wait_turn();

    GraphDb& db_;
    std::deque<Request*> queue_;
    bool leading_ = false;
    std::uint64_t commits_ = 0;
    /// Woken after every commit: to see one's result, or to take the turn.
    WaitList turn_;
};

}  // namespace davit
