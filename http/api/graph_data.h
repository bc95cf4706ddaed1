#pragma once
/// GraphDriver.Data: where a root file system lies on disk. Empty with other drivers than overlay2.
#include <map>
#include <string>

#include "reactor/base/digest.h"

namespace davit {

class Daemon;
struct ContainerRecord;

namespace api {

using GraphData = std::map<std::string, std::string>;

/// A container's: LowerDir (the uppermost first, as overlayfs has it), UpperDir, WorkDir; and as
/// long as it runs MergedDir: davit's mounts have no place in the host's tree, so it is the
/// process's root. Without LowerDir if the layers are gone.
GraphData graph_data(const Daemon& daemon, const ContainerRecord& record);

/// An image's: UpperDir, its uppermost layer, and LowerDir, those below. Empty without layers.
GraphData graph_data(const Daemon& daemon, const Digest& chain_id);

}  // namespace api
}  // namespace davit
