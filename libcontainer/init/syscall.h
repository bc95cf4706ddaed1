#pragma once
/// System calls without a C library: the negative errno comes back as the result. Used by
/// davit-init and by the child between clone3 and execveat, which shares the daemon's memory and
/// must not touch errno.
#include <stdint.h>

#include <asm/unistd.h>

namespace davit::raw {

#define DAVIT_RAW_INLINE \
    __attribute__((always_inline, no_sanitize_address, no_sanitize_undefined)) inline

#if defined(__x86_64__)
DAVIT_RAW_INLINE long syscall6(long number, long a, long b, long c, long d, long e, long f) {
    register long r10 asm("r10") = d;
    register long r8 asm("r8") = e;
    register long r9 asm("r9") = f;
    long result;
    asm volatile("syscall"
                 : "=a"(result)
                 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                 : "rcx", "r11", "memory");
    return result;
}
#elif defined(__aarch64__)
DAVIT_RAW_INLINE long syscall6(long number, long a, long b, long c, long d, long e, long f) {
    register long x8 asm("x8") = number;
    register long x0 asm("x0") = a;
    register long x1 asm("x1") = b;
    register long x2 asm("x2") = c;
    register long x3 asm("x3") = d;
    register long x4 asm("x4") = e;
    register long x5 asm("x5") = f;
    asm volatile("svc 0"
                 : "+r"(x0)
                 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                 : "memory", "cc");
    return x0;
}
#else
#error "davit knows x86-64 and arm64"
#endif

template <typename T>
DAVIT_RAW_INLINE long as_long(T value) {
    return static_cast<long>(value);
}

template <typename T>
DAVIT_RAW_INLINE long as_long(T* value) {
    return reinterpret_cast<long>(value);
}

DAVIT_RAW_INLINE long as_long(decltype(nullptr)) {
    return 0;
}

/// call(__NR_openat, AT_FDCWD, path, flags): missing arguments are zero.
template <typename... Arguments>
DAVIT_RAW_INLINE long call(long number, Arguments... arguments) {
    static_assert(sizeof...(arguments) <= 6);
    long values[6 + 1] = {as_long(arguments)...};
    return syscall6(number, values[0], values[1], values[2], values[3], values[4], values[5]);
}

}  // namespace davit::raw
