#pragma once
/// How an image came about: GET /images/{name}/history.
#include <cstdint>
#include <string>
#include <vector>

#include "graph/txn.h"
#include "reactor/base/digest.h"

namespace davit {

/// One step of an image's making.
struct HistoryRow {
    /// The image that the step ended in, if it is known here; else empty.
    Digest image;
    /// RFC 3339 as the config has it; "" if it has none.
    std::string created;
    std::string created_by;
    std::string comment;
    /// Of that image, familiar and sorted; digests are none.
    std::vector<std::string> tags;
    /// Sum of the files' sizes in the step's layer; 0 for a step without one.
    std::uint64_t size = 0;
};

/// The steps, newest first. The first row is the image itself; those below are the images that it
/// was committed from, as long as they are here.
/// Follows: Docker Engine API, ImageHistory; moby daemon/images/image_history.go.
/// Errors: not_found; corrupt (the history has more layers than the image).
Result<std::vector<HistoryRow>> image_history(const ReadTxn& txn, const Digest& image);

}  // namespace davit
