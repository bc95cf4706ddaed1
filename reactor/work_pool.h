#pragma once
/// WorkPool: threads that run functions for the loop. There are two: one for what a client waits
/// for in milliseconds, and one, with a lower priority, for work that moves much data and that
/// nobody's start waits for (unpacking layers, digests, syncs). So a container's graph commits
/// never queue behind a pull.
///
/// The loop never waits for a thread, not even for one that has been preempted in the middle of
/// taking or giving back work. So there is no lock between them, and none of these, which wait
/// where they do not seem to: pthread_cond_signal(3) waits until those it woke before have left;
/// uv_async_send() has the loop spin until the sender has returned from write(2).
#include <semaphore.h>

#include <array>
#include <atomic>
#include <deque>
#include <limits>
#include <thread>
#include <vector>

#include "reactor/base/fd.h"

struct uv_poll_s;

namespace davit {

class Loop;

/// Owned by who submits it, until done was called.
struct PoolWork {
    using Step = void (*)(void* context) noexcept;

    Step run = nullptr;   // On a thread of the pool.
    Step done = nullptr;  // On the loop; after run, or after take_back().
    void* context = nullptr;

    // The pool's own.
    PoolWork* next = nullptr;
    std::size_t cell = 0;
};

/// All functions are the loop's to call.
class WorkPool {
  public:
    /// Takes: nice: how much nicer than the loop the threads are (setpriority(2)).
    WorkPool(Loop& loop, std::size_t threads, int nice);
    /// Everything submitted must be done. Blocks: until the threads have ended.
    ~WorkPool();
    WorkPool(const WorkPool&) = delete;
    WorkPool& operator=(const WorkPool&) = delete;

    /// Never blocks.
    void submit(PoolWork& work);

    /// If it has not begun it will not run, and done follows all the same.
    void take_back(PoolWork& work);

    /// From now on no thread begins anything, until resume(); what runs goes on.
    void pause();
    void resume();

  private:
    /// More than are taken between two looks of the loop.
    static constexpr std::size_t cell_count = 64;
    static constexpr std::size_t no_cell = std::numeric_limits<std::size_t>::max();

    bool place(PoolWork& work);
    void thread_run(int nice);
    void give_back(PoolWork& work);
    void done_call();

    // A ring with one writer. A token of the semaphore stands for a cell that was filled, and
    // whoever has it empties the next one, which may be empty already: taken back.
    std::array<std::atomic<PoolWork*>, cell_count> cells_{};
    std::size_t filled_ = 0;
    std::atomic<std::size_t> emptied_ = 0;
    sem_t tokens_{};
    std::atomic<bool> ending_ = false;
    std::atomic<int> paused_ = 0;    // An int, for which a wait is a bare futex(2).
    std::deque<PoolWork*> waiting_;  // The loop's alone: what has no cell yet.

    std::atomic<PoolWork*> done_ = nullptr;  // The last one first.
    Fd done_event_;                          // eventfd(2), written with each that is done.
    uv_poll_s* poll_;

    std::vector<std::thread> threads_;
};

}  // namespace davit
