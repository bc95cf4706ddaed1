#pragma once

namespace davit {

/// `davit daemon`: run the daemon until SIGTERM or SIGINT. argv[0] is the command's name.
/// Gives: the process's exit code.
int daemon_main(int argc, char** argv);

}  // namespace davit
