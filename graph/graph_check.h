#pragma once
/// graph_check: everything that must hold between the tables, checked. For `davit system check`,
/// and for tests after every change.
#include <span>
#include <string>
#include <vector>

#include "graph/txn.h"

namespace davit {

/// What is wrong, in words; empty if nothing is.
Result<std::vector<std::string>> graph_check(const ReadTxn& txn);

/// Of the names found in the layers' directory, those that no row knows: left by another program,
/// or by a database that was restored from a copy. What to do with them is for a person to decide.
Result<std::vector<std::string>> layer_directories_unknown(const ReadTxn& txn,
                                                           std::span<const std::string> names);

}  // namespace davit
