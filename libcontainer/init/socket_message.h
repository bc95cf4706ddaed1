#pragma once
/// sendmsg(2) and recvmsg(2) without a C library: the kernel's structs, and a datagram's
/// descriptors.
#include <stddef.h>

namespace davit::raw {

inline constexpr int no_signal = 0x4000;          // MSG_NOSIGNAL
inline constexpr int do_not_wait = 0x40;          // MSG_DONTWAIT
inline constexpr int close_on_exec = 0x40000000;  // MSG_CMSG_CLOEXEC

struct IoVector {
    const void* base;
    size_t size;
};

struct MessageHeader {
    void* name;
    int name_size;
    IoVector* vectors;
    size_t vector_count;
    void* control;
    size_t control_size;
    int flags;
};

/// One control message with descriptors: cmsg(3) SCM_RIGHTS.
template <size_t count_max>
struct alignas(8) Descriptors {
    size_t size;
    int level = 1;  // SOL_SOCKET
    int type = 1;   // SCM_RIGHTS
    int fds[count_max + count_max % 2] = {};

    static constexpr size_t head_bytes = sizeof(size_t) + 2 * sizeof(int);

    explicit Descriptors(size_t count = 0) : size(head_bytes + count * sizeof(int)) {}

    size_t count() const { return size > head_bytes ? (size - head_bytes) / sizeof(int) : 0; }
};

}  // namespace davit::raw
