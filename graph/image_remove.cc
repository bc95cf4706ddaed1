#include "graph/image_remove.h"

#include <algorithm>
#include <set>

#include "graph/container_store.h"
#include "graph/edges.h"
#include "graph/layer_unfinished.h"
#include "graph/tag_store.h"

namespace davit {

namespace {

using Removed = ImageRemoved::Entry::Kind;

std::string short_id(const ImageUser& user) {
    return user.container_id.substr(0, 12);
}

const ImageUser* find_user(const ImageRemove& request, const Digest& image, bool running) {
    const auto user = std::ranges::find_if(request.users, [&](const ImageUser& candidate) {
        return candidate.image == image && candidate.running == running;
    });
    return user == request.users.end() ? nullptr : &*user;
}

/// What stands against deleting the image, in Docker's words; nothing if nothing does.
struct Conflict {
    bool can_be_forced = false;
    std::string reason;
};

Result<std::optional<Conflict>> find_conflict(const ReadTxn& txn,
                                              const ImageRemove& request,
                                              const Digest& image,
                                              bool references_count) {
    TRY(const std::vector<Digest> children, image_children(txn, image));
    if (!children.empty()) {
        return std::optional(Conflict{false, "image has dependent child images"});
    }
    if (const ImageUser* user = find_user(request, image, true)) {
        return std::optional(
            Conflict{false, "image is being used by running container " + short_id(*user)});
    }
    if (request.force) {
        return std::optional<Conflict>{};
    }
    TRY(const std::vector<Reference> references, image_references(txn, image));
    if (references_count && !references.empty()) {
        return std::optional(Conflict{true, "image is referenced in multiple repositories"});
    }
    if (const ImageUser* user = find_user(request, image, false)) {
        return std::optional(
            Conflict{true, "image is being used by stopped container " + short_id(*user)});
    }
    return std::optional<Conflict>{};
}

Error conflict_error(const Digest& image, const Conflict& conflict) {
    return Error(ErrorKind::conflict,
                 "conflict: unable to delete " + image.short_hex() +
                     (conflict.can_be_forced ? " (must be forced) - " : " (cannot be forced) - ") +
                     conflict.reason);
}

/// At most one tag, and digests only of that tag's repository.
bool is_single(const std::vector<Reference>& references) {
    const auto is_tag = [](const Reference& reference) { return !reference.has_digest(); };
    const auto tags = std::ranges::count_if(references, is_tag);
    std::set<std::string> names;
    for (const Reference& reference : references) {
        names.insert(reference.name());
    }
    return !references.empty() && tags <= 1 && names.size() == 1;
}

Result<void> untag(WriteTxn& txn, const Reference& reference, ImageRemoved& removed) {
    TRY(const std::optional<Digest> image, reference_remove(txn, reference));
    removed.entries.push_back({Removed::untagged, reference.familiar(), image.value_or(Digest{})});
    return ok;
}

/// When force takes an image from below stopped containers they keep their chain, so they can still
/// start, but no longer hold the image.
Result<void> drop_container_holds(WriteTxn& txn, const Digest& image) {
    TRY(const std::vector<ContainerId> users, image_users(txn, image));
    for (const ContainerId& user : users) {
        TRY_VOID(edge_remove(txn, Entity{EntityKind::container, user.str()}, "image"));
    }
    return ok;
}

Result<void> untag_all(WriteTxn& txn, const Digest& image, ImageRemoved& removed) {
    TRY(const std::vector<Reference> references, image_references(txn, image));
    for (const Reference& reference : references) {
        TRY_VOID(untag(txn, reference, removed));
    }
    return ok;
}

Result<void> delete_one(WriteTxn& txn,
                        const ImageRemove& request,
                        const Digest& image,
                        ImageRemoved& removed) {
    TRY_VOID(untag_all(txn, image, removed));
    TRY_VOID(drop_container_holds(txn, image));
    TRY(const Digest chain, image_erase(txn, image));
    removed.entries.push_back({Removed::deleted, image.str(), image});
    if (!chain.empty()) {
        TRY(std::vector<std::string> directories, chain_collect(txn, chain, request.pinned));
        std::ranges::move(directories, std::back_inserter(removed.directories));
    }
    return ok;
}

/// The parents that only were there for the deleted image: untagged, unused, without other
/// children.
Result<void> prune_parents(WriteTxn& txn,
                           const ImageRemove& request,
                           Digest image,
                           ImageRemoved& removed) {
    while (!image.empty()) {
        TRY(const std::optional<ImageRecord> record, image_get(txn, image));
        if (!record) {
            return ok;
        }
        TRY(const std::vector<Reference> references, image_references(txn, image));
        ImageRemove unforced = request;
        unforced.force = false;
        TRY(const std::optional<Conflict> conflict, find_conflict(txn, unforced, image, true));
        if (conflict || !references.empty()) {
            return ok;
        }
        TRY_VOID(delete_one(txn, request, image, removed));
        image = record->parent;
    }
    return ok;
}

Result<void> delete_image(WriteTxn& txn,
                          const ImageRemove& request,
                          const Digest& image,
                          ImageRemoved& removed) {
    TRY(const std::optional<ImageRecord> record, image_get(txn, image));
    if (!record) {
        return Error(ErrorKind::not_found, "No such image: " + image.str());
    }
    TRY_VOID(delete_one(txn, request, image, removed));
    if (request.prune_parents) {
        TRY_VOID(prune_parents(txn, request, record->parent, removed));
    }
    return ok;
}

/// Once a repository's last tag on the image is gone, its digests say nothing to anybody.
Result<void> untag_left_digests(WriteTxn& txn,
                                const Digest& image,
                                const Reference& gone,
                                ImageRemoved& removed) {
    TRY(const std::vector<Reference> references, image_references(txn, image));
    const auto is_tag_there = [&](const Reference& reference) {
        return !reference.has_digest() && reference.name() == gone.name();
    };
    if (gone.has_digest() || std::ranges::any_of(references, is_tag_there)) {
        return ok;
    }
    for (const Reference& reference : references) {
        if (reference.name() == gone.name()) {
            TRY_VOID(untag(txn, reference, removed));
        }
    }
    return ok;
}

Result<ImageRemoved> remove_by_reference(WriteTxn& txn,
                                         const ImageRemove& request,
                                         const ImageMatch& match) {
    TRY(const std::vector<Reference> before, image_references(txn, match.id));
    if (!request.force && is_single(before)) {
        const auto user = std::ranges::find(request.users, match.id, &ImageUser::image);
        if (user != request.users.end()) {
            return Error(ErrorKind::conflict,
                         "conflict: unable to remove repository reference \"" + request.text +
                             "\" (must force) - container " + short_id(*user) +
                             " is using its referenced image " + match.id.short_hex());
        }
    }
    ImageRemoved removed;
    TRY_VOID(untag(txn, *match.reference, removed));
    TRY_VOID(untag_left_digests(txn, match.id, *match.reference, removed));
    TRY(const std::vector<Reference> left, image_references(txn, match.id));
    if (!left.empty()) {
        return removed;
    }
    // The name is gone, which is what was asked for; the image stays if it is needed.
    TRY(const std::optional<Conflict> conflict, find_conflict(txn, request, match.id, true));
    if (!conflict) {
        TRY_VOID(delete_image(txn, request, match.id, removed));
    }
    return removed;
}

/// With the images built on it: they need the same layers.
Result<void> erase_with_children(WriteTxn& txn, const Digest& image, ImageRemoved& removed) {
    std::vector<Digest> waiting{image};
    while (!waiting.empty()) {
        const Digest next = waiting.back();
        TRY(const std::vector<Digest> children, image_children(txn, next));
        if (!children.empty()) {
            waiting.insert(waiting.end(), children.begin(), children.end());
            continue;
        }
        waiting.pop_back();
        TRY_VOID(untag_all(txn, next, removed));
        TRY_VOID(drop_container_holds(txn, next));
        TRY([[maybe_unused]] const Digest chain, image_erase(txn, next));
        removed.entries.push_back({Removed::deleted, next.str(), next});
    }
    return ok;
}

}  // namespace

Result<ImageRemoved> layer_lost(WriteTxn& txn, const std::string& cache_id) {
    ImageRemoved removed;
    TRY(const std::vector<Digest> chains, layer_chains(txn, cache_id));
    for (const Digest& chain : chains) {
        TRY(const std::vector<ImageRecord> images, image_list(txn));
        for (const ImageRecord& image : images) {
            TRY(const std::optional<ImageRecord> still, image_get(txn, image.id));
            if (still && image.chain_id == chain) {
                TRY_VOID(erase_with_children(txn, image.id, removed));
            }
        }
        TRY(std::vector<std::string> directories, chain_purge(txn, chain));
        std::ranges::move(directories, std::back_inserter(removed.directories));
    }
    TRY(const bool unfinished, layer_unfinished_drop(txn, cache_id));
    if (unfinished) {
        removed.directories.push_back(cache_id);
    }
    return removed;
}

Result<ImageRemoved> image_remove(WriteTxn& txn, const ImageRemove& request) {
    TRY(const ImageMatch match, image_resolve(txn, request.text));
    if (match.reference) {
        return remove_by_reference(txn, request, match);
    }
    ImageRemoved removed;
    TRY(const std::vector<Reference> references, image_references(txn, match.id));
    TRY(const std::optional<Conflict> conflict,
        find_conflict(txn, request, match.id, !is_single(references)));
    if (conflict) {
        return conflict_error(match.id, *conflict);
    }
    TRY_VOID(delete_image(txn, request, match.id, removed));
    return removed;
}

}  // namespace davit
