#pragma once
/// How the freestanding programs begin and end. Included once by each, in the file that defines
/// davit_main().
#include "libcontainer/init/syscall.h"

namespace davit::raw {

[[noreturn]] inline void quit(int code) {
    for (;;) {
        call(__NR_exit_group, code);
    }
}

}  // namespace davit::raw

/// The program. Takes: stack, as the kernel leaves it at an exec: the count of arguments, these, a
/// null, the environment's entries, a null.
extern "C" [[noreturn, gnu::used]] void davit_main(long* stack);

// The kernel leaves no return address, and the compiler expects a stack that is aligned for a call.
#if defined(__x86_64__)
asm(R"(
    .globl _start
_start:
    xor %ebp, %ebp
    mov %rsp, %rdi
    and $-16, %rsp
    call davit_main
    hlt
)");
#elif defined(__aarch64__)
asm(R"(
    .globl _start
_start:
    mov x29, #0
    mov x0, sp
    bl davit_main
    brk #1
)");
#endif
