#pragma once
/// Who needs images, as removing them wants to know it.
#include "graph/image_remove.h"

namespace davit {

class Daemon;

namespace api {

/// A removal's request as things are now: all containers, and the chains that those of the run
/// database hold. What to remove is the caller's to add.
Result<ImageRemove> image_remove_request(const Daemon& daemon);

}  // namespace api
}  // namespace davit
