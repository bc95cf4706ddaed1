#pragma once
/// BulkPool: the threads for work that moves much data and that nobody's start waits for: unpacking
/// layers, digests, syncs.
///
/// It keeps such work off libuv's pool, where a container's start would queue behind it for its
/// graph commits and network calls, and its threads have a lower priority than the loop's.
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

struct uv_async_s;

namespace davit {

class Loop;

/// Owned by who submits it, until done was called.
struct BulkWork {
    using Step = void (*)(void* context) noexcept;

    Step run = nullptr;   // On a thread of the pool.
    Step done = nullptr;  // On the loop; after run, or after take_back().
    void* context = nullptr;
};

class BulkPool {
  public:
    explicit BulkPool(Loop& loop);
    /// Everything submitted must be done. Blocks: until the threads have ended.
    ~BulkPool();
    BulkPool(const BulkPool&) = delete;
    BulkPool& operator=(const BulkPool&) = delete;

    void submit(BulkWork& work);

    /// If it has not begun it will not run, and done follows all the same.
    void take_back(BulkWork& work);

  private:
    void thread_run();
    void done_call();

    std::mutex mutex_;  // Guards what follows.
    std::condition_variable changed_;
    std::deque<BulkWork*> queue_;
    std::vector<BulkWork*> done_;
    bool ending_ = false;

    std::vector<std::thread> threads_;
    uv_async_s* async_;
};

}  // namespace davit
