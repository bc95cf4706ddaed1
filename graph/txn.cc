#include "graph/txn.h"

#include <lmdb.h>

#include <cassert>

namespace davit {

namespace {

MDB_val as_val(std::string_view bytes) {
    // LMDB takes what it only reads as void*.
    return MDB_val{bytes.size(), const_cast<char*>(bytes.data())};
}

std::string_view as_view(const MDB_val& value) {
    return {static_cast<const char*>(value.mv_data), value.mv_size};
}

bool is_possible_key(std::string_view key) {
    return !key.empty() && key.size() <= graph_key_bytes_max;
}

std::string_view name_of(Table table) {
    return table_names[static_cast<std::size_t>(table)];
}

ErrorKind kind_of(int code) {
    switch (code) {
        case MDB_MAP_FULL:
        case MDB_TXN_FULL:
        case MDB_READERS_FULL:
        case MDB_DBS_FULL:
            return ErrorKind::resource_exhausted;
        case MDB_CORRUPTED:
        case MDB_PAGE_NOTFOUND:
        case MDB_PANIC:
        case MDB_INVALID:
        case MDB_VERSION_MISMATCH:
        case MDB_INCOMPATIBLE:
            return ErrorKind::corrupt;
        default:
            return ErrorKind::internal;
    }
}

}  // namespace

Error lmdb_error(int code, std::string_view operation, std::string_view subject) {
    assert(code != MDB_SUCCESS);
    if (code > 0) {
        return Error::from_errno(code, operation, subject);
    }
    std::string message(operation);
    message.append(subject.empty() ? "" : " ").append(subject);
    // Unlike for errnos, mdb_strerror has constant texts for its own codes.
    message.append(": ").append(mdb_strerror(code));
    return Error(kind_of(code), std::move(message));
}

Cursor::~Cursor() {
    if (cursor_ != nullptr) {
        mdb_cursor_close(cursor_);
    }
}

Result<bool> Cursor::move(int operation, std::string_view key) {
    MDB_val found_key = as_val(key);
    MDB_val found_value{};
    const int code =
        mdb_cursor_get(cursor_, &found_key, &found_value, static_cast<MDB_cursor_op>(operation));
    if (code == MDB_NOTFOUND) {
        key_ = {};
        value_ = {};
        return false;
    }
    if (code != MDB_SUCCESS) {
        return lmdb_error(code, "mdb_cursor_get");
    }
    key_ = as_view(found_key);
    value_ = as_view(found_value);
    return true;
}

Result<bool> Cursor::seek(std::string_view key) {
    if (key.empty()) {
        return move(MDB_FIRST, {});
    }
    return move(MDB_SET_RANGE, key.substr(0, graph_key_bytes_max));
}

Result<bool> Cursor::next() {
    return move(MDB_NEXT, {});
}

Result<std::optional<std::string_view>> ReadTxn::get(Table table, std::string_view key) const {
    if (!is_possible_key(key)) {
        return std::optional<std::string_view>{};
    }
    MDB_val wanted = as_val(key);
    MDB_val found{};
    const int code = mdb_get(txn_, handle(table), &wanted, &found);
    if (code == MDB_NOTFOUND) {
        return std::optional<std::string_view>{};
    }
    if (code != MDB_SUCCESS) {
        return lmdb_error(code, "mdb_get", name_of(table));
    }
    return std::optional<std::string_view>(as_view(found));
}

Result<bool> ReadTxn::contains(Table table, std::string_view key) const {
    TRY(const std::optional<std::string_view> value, get(table, key));
    return value.has_value();
}

Result<std::uint64_t> ReadTxn::count(Table table) const {
    MDB_stat stat{};
    if (const int code = mdb_stat(txn_, handle(table), &stat); code != MDB_SUCCESS) {
        return lmdb_error(code, "mdb_stat", name_of(table));
    }
    return std::uint64_t{stat.ms_entries};
}

Result<Cursor> ReadTxn::cursor(Table table) const {
    MDB_cursor* cursor = nullptr;
    if (const int code = mdb_cursor_open(txn_, handle(table), &cursor); code != MDB_SUCCESS) {
        return lmdb_error(code, "mdb_cursor_open", name_of(table));
    }
    return Cursor(cursor);
}

Result<void> ReadTxn::scan(Table table, std::string_view prefix, Visitor visit) const {
    TRY(Cursor cursor, this->cursor(table));
    TRY(bool found, cursor.seek(prefix));
    while (found && cursor.key().starts_with(prefix)) {
        TRY(const bool go_on, visit(cursor.key(), cursor.value()));
        if (!go_on) {
            break;
        }
        TRY(found, cursor.next());
    }
    return ok;
}

Result<bool> WriteTxn::store(Table table,
                             std::string_view key,
                             std::string_view value,
                             unsigned flags) {
    if (!is_possible_key(key)) {
        return Error(ErrorKind::invalid_argument,
                     std::string(name_of(table)) + ": name is empty or longer than " +
                         std::to_string(graph_key_bytes_max) + " bytes");
    }
    MDB_val key_val = as_val(key);
    MDB_val value_val = as_val(value);
    const int code = mdb_put(txn_, handle(table), &key_val, &value_val, flags);
    if (code == MDB_KEYEXIST) {
        return false;
    }
    if (code != MDB_SUCCESS) {
        *map_full_ = *map_full_ || code == MDB_MAP_FULL;
        return lmdb_error(code, "mdb_put", name_of(table));
    }
    return true;
}

Result<void> WriteTxn::put(Table table, std::string_view key, std::string_view value) {
    TRY_VOID(store(table, key, value, 0));
    return ok;
}

Result<bool> WriteTxn::insert(Table table, std::string_view key, std::string_view value) {
    return store(table, key, value, MDB_NOOVERWRITE);
}

Result<bool> WriteTxn::erase(Table table, std::string_view key) {
    if (!is_possible_key(key)) {
        return false;
    }
    MDB_val key_val = as_val(key);
    const int code = mdb_del(txn_, handle(table), &key_val, nullptr);
    if (code == MDB_NOTFOUND) {
        return false;
    }
    if (code != MDB_SUCCESS) {
        *map_full_ = *map_full_ || code == MDB_MAP_FULL;
        return lmdb_error(code, "mdb_del", name_of(table));
    }
    return true;
}

}  // namespace davit
