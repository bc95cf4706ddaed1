#pragma once
/// Transactions of a GraphDb. A transaction belongs to one call of GraphDb::view or ::update: it is
/// passed down, never stored, and never spans a co_await.
///
/// Keys are 1 to 511 bytes, ordered as bytes. Views that get() and Cursor give point into the
/// database: they are valid until the transaction ends, and in a write transaction until the next
/// write.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "graph/function_ref.h"
#include "graph/schema.h"
#include "reactor/base/result.h"

struct MDB_cursor;
struct MDB_env;
struct MDB_txn;

namespace davit {

/// The handle of each table in one environment.
using TableHandles = std::array<unsigned, table_count>;

inline constexpr std::size_t graph_key_bytes_max = 511;

/// An LMDB return code as an Error. Kinds: resource_exhausted (disk, map, or readers full),
/// corrupt, those of an errno, else internal.
Error lmdb_error(int code, std::string_view operation, std::string_view subject = {});

/// A position in a table's order of keys.
class Cursor {
  public:
    Cursor(Cursor&& other) noexcept : cursor_(std::exchange(other.cursor_, nullptr)) {}

    Cursor& operator=(Cursor&&) = delete;
    Cursor(const Cursor&) = delete;
    Cursor& operator=(const Cursor&) = delete;
    ~Cursor();

    /// Move to the first key that is not less than this one; "" is the first of all. False: none.
    Result<bool> seek(std::string_view key);
    Result<bool> next();

    std::string_view key() const { return key_; }

    std::string_view value() const { return value_; }

  private:
    friend class ReadTxn;

    explicit Cursor(MDB_cursor* cursor) : cursor_(cursor) {}

    Result<bool> move(int operation, std::string_view key);

    MDB_cursor* cursor_;
    std::string_view key_;
    std::string_view value_;
};

class ReadTxn {
  public:
    ReadTxn(const ReadTxn&) = delete;
    ReadTxn& operator=(const ReadTxn&) = delete;

    /// Nothing if there is no such key; also for keys that cannot exist (empty, too long).
    Result<std::optional<std::string_view>> get(Table table, std::string_view key) const;
    Result<bool> contains(Table table, std::string_view key) const;

    /// Number of keys in the table; constant time.
    Result<std::uint64_t> count(Table table) const;

    /// Must be gone before the transaction ends.
    Result<Cursor> cursor(Table table) const;

    /// Visit every key that starts with prefix, in order, until the visitor returns false. The
    /// visitor must not write to the table.
    using Visitor = FunctionRef<Result<bool>(std::string_view key, std::string_view value)>;
    Result<void> scan(Table table, std::string_view prefix, Visitor visit) const;

  protected:
    friend class GraphDb;

    ReadTxn(MDB_txn* txn, const TableHandles& tables) : txn_(txn), tables_(&tables) {}

    ~ReadTxn() = default;

    unsigned handle(Table table) const { return (*tables_)[static_cast<std::size_t>(table)]; }

    MDB_txn* txn_;
    const TableHandles* tables_;
};

class WriteTxn : public ReadTxn {
  public:
    /// Insert or replace. Errors: invalid_argument (key empty or too long); resource_exhausted.
    Result<void> put(Table table, std::string_view key, std::string_view value);

    /// Insert; false (and nothing changed) if the key is there already.
    Result<bool> insert(Table table, std::string_view key, std::string_view value);

    /// False if there was no such key.
    Result<bool> erase(Table table, std::string_view key);

  private:
    friend class GraphDb;

    WriteTxn(MDB_txn* txn, const TableHandles& tables, bool& map_full)
        : ReadTxn(txn, tables), map_full_(&map_full) {}

    Result<bool> store(Table table, std::string_view key, std::string_view value, unsigned flags);

    /// Set by any operation that found the map full, whatever the caller makes of its error: the
    /// whole update is then repeated in a larger map.
    bool* map_full_;
};

}  // namespace davit
