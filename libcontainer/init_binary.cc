#include "libcontainer/init_binary.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#define MFD_NOEXEC_SEAL 0x0008U
#endif

extern "C" const char davit_init_begin[];
extern "C" const char davit_init_end[];

namespace davit {

std::string_view init_binary_bytes() {
    return {davit_init_begin, static_cast<std::size_t>(davit_init_end - davit_init_begin)};
}

Result<Fd> init_binary_open() {
    return memory_file_sealed("davit-init", init_binary_bytes(), true);
}

Result<Fd> memory_file_sealed(const char* name, std::string_view bytes, bool executable) {
    constexpr unsigned base = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    int raw = ::memfd_create(name, base | (executable ? MFD_EXEC : MFD_NOEXEC_SEAL));
    if (raw < 0 && errno == EINVAL) {
        raw = ::memfd_create(name, base);  // Kernels before 6.3 know neither flag.
    }
    if (raw < 0) {
        return Error::from_errno(errno, "memfd_create", name);
    }
    Fd fd(raw);
    TRY_VOID(write_all(raw, bytes));
    constexpr int seals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
    if (::fcntl(raw, F_ADD_SEALS, seals) != 0) {
        return Error::from_errno(errno, "fcntl(F_ADD_SEALS)", name);
    }
    return fd;
}

}  // namespace davit
