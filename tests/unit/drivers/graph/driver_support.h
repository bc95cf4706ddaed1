#pragma once
// A driver on a private data root, and files read through its mounts.
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "drivers/graph/overlay/overlay_driver.h"
#include "tests/unit/graph/db/temp_dir.h"
#include "tests/unit/graph/tar/layer_support.h"

namespace davit::test {

/// Overlay mounts need root; a test binary that cannot make one says so and ends.
struct RootNeeded {
    RootNeeded() {
        if (::geteuid() != 0) {
            std::puts("skipped: overlay mounts need root");
            std::_Exit(77);
        }
    }
};

inline std::span<const std::uint8_t> archive_bytes(std::string_view text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

/// A published layer.
inline void layer_add(GraphDriver& driver,
                      const std::string& cache_id,
                      const std::string& archive) {
    StagedLayer staged = must(driver.layer_stage(cache_id));
    REQUIRE(staged.writer->write(archive_bytes(archive)));
    REQUIRE(staged.writer->finish());
    staged.writer.reset();
    REQUIRE(driver.layer_publish(staged));
}

/// A file's content; "-" if it is not there.
inline std::string content(const Fd& dir, const std::string& path) {
    Result<std::string> text = file_read(dir.get(), path);
    return text ? *text : "-";
}

inline std::vector<std::string> names_in(const std::string& path) {
    std::vector<std::string> names;
    for (const auto& [name, line] : listing(path)) {
        if (name.find('/') == std::string::npos) {
            names.push_back(name);
        }
    }
    return names;
}

}  // namespace davit::test
