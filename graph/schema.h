#pragma once
/// The tables of the graph and run databases, their version, and how old ones are brought forward.
///
/// Both databases have all tables; which of them it fills is what tells them apart. A table is
/// added by one row in Table and one in table_names. A change to what is in a table needs a new
/// schema_version and a migration.
#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "reactor/base/result.h"

namespace davit {

class WriteTxn;

enum class Table : std::uint8_t {
    meta,               ///< "schema", "layer_sequence": counters and versions.
    entities,           ///< Every node of the graph.
    edges_out,          ///< parent, name -> child.
    edges_in,           ///< child, parent, name -> nothing: the same edges, seen from below.
    images,             ///< config digest -> ImageRecord without its documents.
    image_configs,      ///< config digest -> the config, byte for byte.
    image_used,         ///< config digest -> when a container was last made from it.
    manifests,          ///< manifest digest -> media type and the document, byte for byte.
    references,         ///< "docker.io/library/alpine:latest" -> config digest.
    image_references,   ///< config digest -> its references.
    layers,             ///< diff id, or "@" and chain id -> LayerRecord.
    layer_directories,  ///< cache id -> state of that directory: every directory has its row.
    chains,             ///< chain id -> cache ids, lowest first.
    blobs,              ///< digest of a compressed layer -> its diff id.
    containers,         ///< container id -> the engine's record, opaque here.
    container_names,    ///< "/name" -> container id.
    layer_origins,      ///< diff id -> repositories that have the layer, the newest first.
    image_pinned,       ///< config digest -> nothing: not to be collected.
    layers_unsynced,    ///< cache id -> the boot in which it was published, not synced yet.
    networks,           ///< network id -> the engine's record, opaque here.
    volumes,            ///< volume name -> VolumeRecord.
};

inline constexpr std::array<std::string_view, 21> table_names = {
    "meta",
    "entities",
    "edges_out",
    "edges_in",
    "images",
    "image_configs",
    "image_used",
    "manifests",
    "references",
    "image_references",
    "layers",
    "layer_directories",
    "chains",
    "blobs",
    "containers",
    "container_names",
    "layer_origins",
    "image_pinned",
    "layers_unsynced",
    "networks",
    "volumes",
};
inline constexpr std::size_t table_count = table_names.size();

/// Brings a database from one version to the next. Runs inside the one transaction that also writes
/// the new version, so it happens wholly or not at all.
using Migration = Result<void> (*)(WriteTxn& txn);

struct SchemaPlan {
    /// The version this program writes.
    std::uint32_t version = 1;
    /// migrations[i] leads from version i + 1 to i + 2; there must be version - 1 of them.
    std::span<const Migration> migrations;
};

/// The plan of this program.
SchemaPlan schema_current();

/// Write the version into a new database, or migrate an older one.
/// Errors: unsupported, if the database is newer than the plan; what a migration returns.
Result<void> schema_apply(WriteTxn& txn, const SchemaPlan& plan);

}  // namespace davit
