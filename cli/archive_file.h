#pragma once
/// An archive that a command gets from the daemon, into a file or to standard output.
#include <string>
#include <string_view>

#include "cli/context.h"

namespace davit::cli {

/// Write the stream to its end: to standard output if path is "", else to that file, which is there
/// only when it is whole (a device or pipe of that name is written to as it is).
/// Errors: the stream's; those of writing.
Task<void> archive_receive(Context& context, ApiStream stream, const std::string& path);

/// Whether an archive would go to a terminal. verb: "save", for the message.
Result<void> archive_target_check(const Context& context,
                                  const std::string& path,
                                  std::string_view verb);

}  // namespace davit::cli
