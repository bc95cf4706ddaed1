#pragma once
/// Volumes' records, by name.
///
/// A volume's record is in the graph; one that goes with a container started with --rm is in the
/// run database, where that container's record is (graph/container_store.h). Which containers use a
/// volume is in their own records.
#include <map>
#include <string>
#include <vector>

#include "graph/txn.h"
#include "reactor/base/clock.h"

namespace davit {

struct VolumeRecord {
    std::string name;
    std::string driver = "local";
    WallTime created{};
    std::map<std::string, std::string> labels = {};
    /// Of the driver: type, device, o, size.
    std::map<std::string, std::string> options = {};

    bool operator==(const VolumeRecord&) const = default;
};

/// Insert or replace. Errors: invalid_argument (a name that is empty or too long for a key).
Result<void> volume_put(WriteTxn& txn, const VolumeRecord& volume);

/// False if there is none.
Result<bool> volume_erase(WriteTxn& txn, std::string_view name);

/// In the order of names. Errors: corrupt.
Result<std::vector<VolumeRecord>> volume_list(const ReadTxn& txn);

}  // namespace davit
