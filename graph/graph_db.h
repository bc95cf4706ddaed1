#pragma once
/// GraphDb: one LMDB environment with the schema's tables.
///
/// A daemon has two. The graph under the data root is durable: update() returns after the commit is
/// on disk, which blocks on fdatasync, so the reactor goes through GraphWriter. The run database
/// lives on tmpfs and dies with the boot: its commits skip the sync and are made in place.
///
/// Any thread may call; one update runs at a time, and views run beside it and see the state
/// before. The map grows by itself: an update that finds it full is rolled back and run again in a
/// larger one, so an update's function may run more than once and must not change anything but the
/// database before it has succeeded. Growing waits for the open views; therefore a view must not
/// update.
///
/// An environment that LMDB has given up (MDB_PANIC: its meta page could not be written, as on a
/// disk that failed for a while) is closed and opened again by the next call, which finds the last
/// commit that reached the file. Of the update that failed with it nothing or all is there.
///
/// One process at a time: take the DataRootLock first. Not usable after fork(2).
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "graph/txn.h"
#include "reactor/base/limits.h"

namespace davit {

enum class Durability : std::uint8_t {
    durable,   ///< A commit is on disk when update() returns.
    volatile_  ///< Survives the process, not the machine.
};

struct GraphDbOptions {
    std::string directory;  ///< Made if it is not there.
    Durability durability = Durability::durable;
    std::size_t map_bytes = limits::graph_map_bytes;
    std::size_t map_bytes_max = limits::graph_map_bytes_max;
    SchemaPlan schema = schema_current();
};

class GraphDb {
  public:
    /// Errors: unsupported (written by a newer davit); corrupt; those of a failed migration, with
    ///         the database as it was before.
    /// Blocks: a few syncs.
    static Result<std::unique_ptr<GraphDb>> open(GraphDbOptions options);

    ~GraphDb();
    GraphDb(const GraphDb&) = delete;
    GraphDb& operator=(const GraphDb&) = delete;

    /// Run f(const ReadTxn&) -> Result<T> on a consistent snapshot. What f returns must not point
    /// into the database.
    template <typename F>
    auto view(F&& f) const -> std::invoke_result_t<F&, const ReadTxn&> {
        TRY(const ViewScope scope, ViewScope::begin(*this));
        return f(scope.txn());
    }

    /// Run f(WriteTxn&) -> Result<T> and commit; an Error of f rolls everything back.
    /// Blocks: until the commit is on disk (durable), and while another update runs.
    template <typename F>
    auto update(F&& f) -> std::invoke_result_t<F&, WriteTxn&> {
        using R = std::invoke_result_t<F&, WriteTxn&>;
        std::optional<R> outcome;
        Result<void> committed = run_update([&](WriteTxn& txn) -> Result<void> {
            outcome.emplace(f(txn));
            if (!*outcome) {
                return outcome->error();
            }
            return ok;
        });
        if (!committed) {
            return std::move(committed).error();
        }
        return *std::move(outcome);
    }

    /// Run many functions in one transaction, in order. One that fails is rolled back alone. The
    /// results are in the functions' order; if the commit fails, all that had succeeded carry its
    /// error.
    /// Blocks: once for all.
    using Update = FunctionRef<Result<void>(WriteTxn&)>;
    std::vector<Result<void>> commit_batch(std::span<const Update> updates);

    /// Bytes the map can hold before it has to grow.
    std::size_t map_bytes() const;

  private:
    /// A read transaction, and its place among the open ones.
    class ViewScope {
      public:
        static Result<ViewScope> begin(const GraphDb& db);
        ViewScope(ViewScope&& other) noexcept;
        ViewScope& operator=(ViewScope&&) = delete;
        ~ViewScope();

        const ReadTxn& txn() const { return txn_; }

      private:
        struct OpenReadTxn : ReadTxn {
            using ReadTxn::ReadTxn;

            MDB_txn* raw() const { return txn_; }

            const TableHandles* handles() const { return tables_; }
        };

        ViewScope(const GraphDb& db, MDB_txn* txn) : db_(&db), txn_(txn, db.tables_) {}

        const GraphDb* db_;
        OpenReadTxn txn_;
    };

    explicit GraphDb(GraphDbOptions options) : options_(std::move(options)) {}

    Result<void> open_environment(std::size_t map_bytes) const;
    Result<void> open_tables(bool& map_full) const;
    Result<void> create_tables();
    Result<void> run_update(Update update);

    /// Begin a transaction, hand it to body, commit it if that succeeds; again in a larger map as
    /// long as it sets its flag.
    using Body = FunctionRef<Result<void>(MDB_txn* txn, bool& map_full)>;
    Result<void> transact(Body body);

    struct Attempt {
        bool begun = false;
        bool map_full = false;
    };

    Result<void> attempt(Body body, Attempt& made) const;
    int begin(unsigned flags, MDB_txn** txn) const;
    Result<void> reopen_if_lost() const;
    Result<void> run_nested(MDB_txn* parent, Update update, bool& map_full);
    Result<void> grow();

    void reader_enter() const;
    void reader_leave() const;

    GraphDbOptions options_;
    // Opening it again changes nothing that a caller can see: a view may, too.
    mutable MDB_env* env_ = nullptr;
    mutable TableHandles tables_{};

    std::size_t grown_bytes_ = 0;

    mutable std::mutex write_mutex_;

    /// Guards the map against being moved under a reader. Taken after write_mutex_.
    mutable std::mutex map_mutex_;
    mutable std::condition_variable readers_gone_;
    mutable std::size_t readers_ = 0;
    /// LMDB gave up: growing unmapped the old map and could not make the new one, or MDB_PANIC.
    mutable std::atomic<bool> lost_ = false;
};

}  // namespace davit
