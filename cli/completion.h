#pragma once
/// Completion: what could come next on a command line, for the shells' scripts of `davit
/// completion`.
///
/// A script hands over the words up to the cursor, the last one unfinished, as
/// `davit __complete WORD...`, and gets a candidate a line: the word, a tab, what it is. The line
/// ":files" asks the shell for names of files as well. Flags come from the commands' own tables,
/// and what an argument is ("CONTAINER") from their usage texts, so that a new command needs
/// nothing here.
#include <span>
#include <string_view>

#include "cli/context.h"
#include "reactor/task.h"

namespace davit::cli {

/// The hidden command's name.
inline constexpr std::string_view completion_request = "__complete";

/// Print the candidates for the last of words. A daemon that does not answer is no error: it has no
/// names to offer. Gives the exit code 0.
Task<int> completion_run(Context& context, std::span<const char* const> words);

}  // namespace davit::cli
