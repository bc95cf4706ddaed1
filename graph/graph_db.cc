#include "graph/graph_db.h"

#include <fcntl.h>
#include <lmdb.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>

#include "reactor/base/fd.h"

namespace davit {

namespace {

/// The databases whose views and updates this thread is inside of: an update within a view (or an
/// update) of the same database would wait for itself.
thread_local std::vector<const GraphDb*> inside;

struct InsideMark {
    explicit InsideMark(const GraphDb& db) { inside.push_back(&db); }

    InsideMark(const InsideMark&) = delete;
    InsideMark& operator=(const InsideMark&) = delete;

    ~InsideMark() { inside.pop_back(); }
};

/// New names must be on disk too, else a durable commit is in a file that a crash unlinks.
Result<void> sync_directory(const std::string& path) {
    TRY(const Fd directory, Fd::open(path, O_RDONLY | O_DIRECTORY));
    if (::fsync(directory.get()) != 0) {
        return Error::from_errno(errno, "fsync", path);
    }
    return ok;
}

}  // namespace

Result<GraphDb::ViewScope> GraphDb::ViewScope::begin(const GraphDb& db) {
    for (bool again = false;; again = true) {
        db.reader_enter();
        MDB_txn* txn = nullptr;
        const int code = db.begin(MDB_RDONLY, &txn);
        if (code == MDB_SUCCESS) {
            inside.push_back(&db);
            return ViewScope(db, txn);
        }
        db.reader_leave();
        // Inside another view the old environment is in use, by ourselves.
        if (code != MDB_PANIC || again || std::ranges::find(inside, &db) != inside.end()) {
            return lmdb_error(code, "mdb_txn_begin", db.options_.directory);
        }
        const std::lock_guard lock(db.write_mutex_);
        TRY_VOID(db.reopen_if_lost());
    }
}

GraphDb::ViewScope::ViewScope(ViewScope&& other) noexcept
    : db_(std::exchange(other.db_, nullptr)), txn_(other.txn_.raw(), *other.txn_.handles()) {}

GraphDb::ViewScope::~ViewScope() {
    if (db_ != nullptr) {
        mdb_txn_abort(txn_.raw());
        inside.pop_back();  // Views nest.
        db_->reader_leave();
    }
}

Result<std::unique_ptr<GraphDb>> GraphDb::open(GraphDbOptions options) {
    TRY_VOID(make_directories(options.directory, 0700));
    std::unique_ptr<GraphDb> db(new GraphDb(std::move(options)));
    TRY_VOID(db->open_environment(db->options_.map_bytes));
    TRY_VOID(db->create_tables());
    const SchemaPlan& plan = db->options_.schema;
    Result<void> applied =
        db->update([&plan](WriteTxn& txn) -> Result<void> { return schema_apply(txn, plan); });
    if (!applied) {
        return std::move(applied).error().context("open database", db->options_.directory);
    }
    if (db->options_.durability == Durability::durable) {
        TRY_VOID(sync_directory(db->options_.directory));
    }
    return db;
}

GraphDb::~GraphDb() {
    if (env_ != nullptr) {
        mdb_env_close(env_);
    }
}

Result<void> GraphDb::open_environment(std::size_t map_bytes) const {
    if (const int code = mdb_env_create(&env_); code != MDB_SUCCESS) {
        env_ = nullptr;
        return lmdb_error(code, "mdb_env_create");
    }
    int code = mdb_env_set_maxdbs(env_, static_cast<MDB_dbi>(table_count));
    if (code == MDB_SUCCESS) {
        code = mdb_env_set_mapsize(env_, map_bytes);
    }
    // NOTLS: a read transaction belongs to its view, not to the thread. NORDAHEAD: records are read
    // here and there; pages read ahead would only count as our memory.
    unsigned flags = MDB_NOTLS | MDB_NORDAHEAD;
    if (options_.durability == Durability::volatile_) {
        flags |= MDB_NOSYNC;
    }
    if (code == MDB_SUCCESS) {
        code = mdb_env_open(env_, options_.directory.c_str(), flags, 0600);
    }
    if (code != MDB_SUCCESS) {
        mdb_env_close(std::exchange(env_, nullptr));
        return lmdb_error(code, "mdb_env_open", options_.directory);
    }
    // LMDB leaves this one descriptor open across exec.
    int fd = -1;
    mdb_env_get_fd(env_, &fd);
    if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
        return Error::from_errno(errno, "fcntl", options_.directory);
    }
    return ok;
}

/// In a transaction of its own; map_full asks for a larger map.
Result<void> GraphDb::open_tables(bool& map_full) const {
    const auto open_all = [this](MDB_txn* txn, bool& full) -> Result<void> {
        for (std::size_t i = 0; i < table_count; ++i) {
            const std::string name(table_names[i]);
            const int code = mdb_dbi_open(txn, name.c_str(), MDB_CREATE, &tables_[i]);
            if (code != MDB_SUCCESS) {
                full = code == MDB_MAP_FULL;
                return lmdb_error(code, "mdb_dbi_open", name);
            }
        }
        return ok;
    };
    Attempt made;
    Result<void> opened = attempt(open_all, made);
    map_full = made.map_full;
    return opened;
}

Result<void> GraphDb::create_tables() {
    for (;;) {
        bool map_full = false;
        Result<void> opened = open_tables(map_full);
        if (!map_full) {
            return opened;
        }
        TRY_VOID(grow());
    }
}

Result<void> GraphDb::run_update(Update update) {
    const auto run = [this, update](MDB_txn* raw, bool& map_full) -> Result<void> {
        WriteTxn txn(raw, tables_, map_full);
        return update(txn);
    };
    return transact(run);
}

Result<void> GraphDb::transact(Body body) {
    assert(std::ranges::find(inside, this) == inside.end() &&
           "an update inside a view or an update of the same database");
    const std::lock_guard lock(write_mutex_);
    const InsideMark mark(*this);
    for (bool reopened = false;;) {
        TRY_VOID(reopen_if_lost());
        Attempt made;
        Result<void> result = attempt(body, made);
        if (!made.begun && lost_ && !reopened) {
            reopened = true;
            continue;
        }
        if (!made.map_full) {
            return result;
        }
        TRY_VOID(grow());
    }
}

/// mdb_txn_begin() for a transaction without a parent; notices that LMDB has given up.
int GraphDb::begin(unsigned flags, MDB_txn** txn) const {
    const int code = lost_ ? MDB_PANIC : mdb_txn_begin(env_, nullptr, flags, txn);
    if (code == MDB_PANIC) {
        lost_ = true;
    }
    return code;
}

/// Called with write_mutex_ held, outside of all views of this thread.
Result<void> GraphDb::reopen_if_lost() const {
    if (!lost_) {
        return ok;
    }
    std::unique_lock lock(map_mutex_);
    readers_gone_.wait(lock, [this] { return readers_ == 0; });
    if (env_ != nullptr) {
        mdb_env_close(std::exchange(env_, nullptr));
    }
    Result<void> opened = open_environment(std::max(options_.map_bytes, grown_bytes_));
    if (opened) {
        lost_ = false;
        bool map_full = false;
        opened = open_tables(map_full);
    }
    if (!opened) {
        lost_ = true;
        return std::move(opened).error().context("open database again", options_.directory);
    }
    return ok;
}

Result<void> GraphDb::attempt(Body body, Attempt& made) const {
    MDB_txn* txn = nullptr;
    if (const int code = begin(0, &txn); code != MDB_SUCCESS) {
        return lmdb_error(code, "mdb_txn_begin", options_.directory);
    }
    made.begun = true;
    Result<void> result = body(txn, made.map_full);
    if (!result || made.map_full) {
        mdb_txn_abort(txn);
        return result;
    }
    if (const int code = mdb_txn_commit(txn); code != MDB_SUCCESS) {
        made.map_full = code == MDB_MAP_FULL;
        return lmdb_error(code, "mdb_txn_commit", options_.directory);
    }
    return ok;
}

std::vector<Result<void>> GraphDb::commit_batch(std::span<const Update> updates) {
    std::vector<Result<void>> results(updates.size());
    if (updates.size() == 1) {
        results[0] = run_update(updates[0]);
        return results;
    }
    const auto run_all = [this, updates, &results](MDB_txn* txn, bool& map_full) -> Result<void> {
        for (std::size_t i = 0; i < updates.size() && !map_full; ++i) {
            results[i] = run_nested(txn, updates[i], map_full);
        }
        return ok;
    };
    if (Result<void> committed = transact(run_all); !committed) {
        for (Result<void>& result : results) {
            if (result) {
                result = committed.error();
            }
        }
    }
    return results;
}

Result<void> GraphDb::run_nested(MDB_txn* parent, Update update, bool& map_full) {
    MDB_txn* child = nullptr;
    if (const int code = mdb_txn_begin(env_, parent, 0, &child); code != MDB_SUCCESS) {
        map_full = code == MDB_MAP_FULL;
        return lmdb_error(code, "mdb_txn_begin", options_.directory);
    }
    WriteTxn txn(child, tables_, map_full);
    Result<void> result = update(txn);
    if (!result || map_full) {
        mdb_txn_abort(child);
        return result;
    }
    if (const int code = mdb_txn_commit(child); code != MDB_SUCCESS) {
        map_full = code == MDB_MAP_FULL;
        return lmdb_error(code, "mdb_txn_commit", options_.directory);
    }
    return ok;
}

Result<void> GraphDb::grow() {
    std::unique_lock lock(map_mutex_);
    MDB_envinfo info{};
    mdb_env_info(env_, &info);
    if (info.me_mapsize >= options_.map_bytes_max) {
        return Error(ErrorKind::resource_exhausted,
                     "database " + options_.directory + " reached its limit of " +
                         std::to_string(options_.map_bytes_max) + " bytes");
    }
    const std::size_t bytes = std::min(info.me_mapsize * 2, options_.map_bytes_max);
    // Readers hold pointers into the map. New ones wait for the mutex, the open ones are waited
    // for.
    readers_gone_.wait(lock, [this] { return readers_ == 0; });
    if (const int code = mdb_env_set_mapsize(env_, bytes); code != MDB_SUCCESS) {
        lost_ = true;
        return lmdb_error(code, "mdb_env_set_mapsize", options_.directory);
    }
    grown_bytes_ = bytes;
    return ok;
}

std::size_t GraphDb::map_bytes() const {
    const std::lock_guard lock(map_mutex_);
    if (env_ == nullptr) {
        return 0;
    }
    MDB_envinfo info{};
    mdb_env_info(env_, &info);
    return info.me_mapsize;
}

void GraphDb::reader_enter() const {
    const std::lock_guard lock(map_mutex_);
    ++readers_;
}

void GraphDb::reader_leave() const {
    const std::lock_guard lock(map_mutex_);
    if (--readers_ == 0) {
        readers_gone_.notify_one();
    }
}

}  // namespace davit
