#include "graph/schema.h"

#include <cassert>
#include <string>

#include "graph/record.h"
#include "graph/txn.h"

namespace davit {

namespace {

constexpr std::string_view version_key = "schema";
constexpr std::uint8_t version_record = 1;

}  // namespace

SchemaPlan schema_current() {
    return SchemaPlan{};
}

Result<void> schema_apply(WriteTxn& txn, const SchemaPlan& plan) {
    assert(plan.migrations.size() + 1 == plan.version);
    TRY(const std::optional<std::string_view> bytes, txn.get(Table::meta, version_key));
    std::uint64_t found = plan.version;
    if (bytes) {
        RecordReader reader(*bytes, "the schema version", version_record);
        found = reader.u64();
        TRY_VOID(reader.finish());
        if (found > plan.version) {
            return Error(ErrorKind::unsupported,
                         "the database was written by a newer davit (schema " +
                             std::to_string(found) + ", this one knows up to " +
                             std::to_string(plan.version) + ")");
        }
        if (found == plan.version) {
            return ok;
        }
        if (found == 0) {
            return Error(ErrorKind::corrupt, "record of the schema version is damaged");
        }
    }
    for (std::uint64_t step = found; step < plan.version; ++step) {
        Result<void> done = plan.migrations[step - 1](txn);
        if (!done) {
            return std::move(done).error().context("migrate schema from version",
                                                   std::to_string(step));
        }
    }
    return txn.put(Table::meta, version_key, RecordWriter(version_record).u64(plan.version).take());
}

}  // namespace davit
