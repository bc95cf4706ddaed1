#pragma once
/// Changes to an image's config in the Dockerfile's words: `changes` of import and commit.
#include <span>
#include <string>

#include "graph/image_config.h"

namespace davit {

/// Apply instructions in order: CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD,
/// STOPSIGNAL, USER, VOLUME, WORKDIR. Variables ($NAME) are not expanded. Follows: Dockerfile
/// reference; docker import --change. Errors:  invalid_argument: another or a malformed
/// instruction, named with its text.
Result<void> config_change_apply(RunConfig& config, std::span<const std::string> changes);

}  // namespace davit
