#pragma once
/// Ends a context of libzstd: for std::unique_ptr.
#include <zstd.h>

namespace davit {

struct ZstdFree {
    void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }

    void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

}  // namespace davit
