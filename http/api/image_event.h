#pragma once
/// Events of images. Follows: Docker Engine API, operation SystemEvents.
#include <map>
#include <string>

#include "reactor/base/digest.h"

namespace davit {

class Daemon;

namespace api {

using ImageLabels = std::map<std::string, std::string>;

/// Empty for an image that is not here (any more).
ImageLabels image_labels(const Daemon& daemon, const Digest& image);

/// Publish: the attributes are the image's labels and its name.
/// Takes: actor, an image's id; of a pull, what was asked for.
void image_event(Daemon& daemon,
                 std::string action,
                 std::string actor,
                 std::string name,
                 const ImageLabels& labels);

}  // namespace api
}  // namespace davit
