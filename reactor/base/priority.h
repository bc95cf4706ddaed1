#pragma once

/// Which thread of the daemon goes first where there are fewer processors than threads that want
/// one: the loop, for everybody waits for it; then what starts containers; then bulk work.
/// The kernel's nice value belongs to a thread: setpriority(2), "C library/kernel differences".

namespace davit {

/// The calling thread goes before others; what it starts (threads, children) gets the usual nice
/// value 0. Without the privilege (CAP_SYS_NICE), or where an operator gave the process a nice
/// value of his own, nothing changes.
void thread_goes_first();

/// The calling thread goes after others. What it starts does, too.
void thread_goes_last();

}  // namespace davit
