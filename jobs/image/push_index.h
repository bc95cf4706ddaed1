#pragma once
/// A whole index on its way into a registry: every manifest that it names, of whatever platform,
/// attestations included, each byte for byte, and the index last.
///
/// A pull by an index keeps the index and fetches one of its images; what else it names is carried
/// over from a registry that the index came from, and not stored here.
#include <set>
#include <string>
#include <vector>

#include "graph/image_store.h"
#include "graph/reference.h"
#include "http/registry/credentials.h"
#include "http/registry/registry_client.h"
#include "jobs/image/progress.h"

namespace davit {

class ImageService;

struct PushIndex {
    StoredManifest document;
    /// The names by which it was pulled, or pushed before.
    std::vector<Reference> sources;
};

/// The index that an image came with; of several the newest.
/// Errors: not_found (it came with none, or no name tells from where).
Result<PushIndex> push_index_read(const ReadTxn& txn, const Digest& image);

/// The repositories of the target's registry that its blobs may be mounted from.
std::vector<std::string> push_index_mounts(const PushIndex& index, const Reference& target);

/// Takes:  target: with a tag; repository: the target's, after push_prepare(); credentials: for its
///         registry alone. All outlive the task.
/// Gives:  the digests of all documents that are there now.
/// Errors: as registry_error(); the last source's, for what none of them has any more; corrupt;
///         resource_exhausted (an index of too many manifests, or of indexes too deep).
/// Cancel: at every point; what got there stays for the registry's garbage collection.
Task<std::set<Digest>> push_index(ImageService& images,
                                  const PushIndex& index,
                                  const Reference& target,
                                  RegistryRepository& repository,
                                  const RegistryCredentials& credentials,
                                  ProgressSink& progress);

}  // namespace davit
