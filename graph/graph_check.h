#pragma once
/// graph_check: everything that must hold between the tables, checked. For `davit graph check`,
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

/// Repair what can be without guessing: edges and names (edges_repair(), references_repair()), and
/// names of containers that are not there. What is left, as an image whose config is damaged, only
/// a removal or a pull can put right. Gives: what was done, in words.
Result<std::vector<std::string>> graph_repair(WriteTxn& txn);

/// Rows per table that a person may want to know.
struct GraphCounts {
    std::uint64_t images = 0;
    std::uint64_t references = 0;
    std::uint64_t layers = 0;
    std::uint64_t chains = 0;
    std::uint64_t containers = 0;
    std::uint64_t leases = 0;
};

Result<GraphCounts> graph_counts(const ReadTxn& txn);

/// Leases that are there, but for that of unfinished layers. Each belongs to a pull, load or build
/// in progress; without a daemon to none.
Result<std::vector<std::string>> lease_list(const ReadTxn& txn);

}  // namespace davit
