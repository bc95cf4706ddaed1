#pragma once

/// How `davit daemon` becomes the keeper (keeper_exec.h) and what the two agree on for that.

namespace davit::keeper {

/// The keeper's arguments before those of the daemon: "davit", "keeper", the path of davit.
inline constexpr int arguments_before_daemons = 3;

/// Where the keeper finds an open descriptor of davit's file.
inline constexpr int executable_fd = 3;

}  // namespace davit::keeper
