#pragma once
/// A directory of a test's own, removed with everything in it.
#include <fcntl.h>
#include <stdlib.h>

#include <string>

#include "reactor/base/fd.h"
#include "tests/support/catch.h"

namespace davit::test {

class TempDir {
  public:
    TempDir() {
        std::string name = "/tmp/davit-graph-XXXXXX";
        REQUIRE(::mkdtemp(name.data()) != nullptr);
        path_ = name;
    }

    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;

    ~TempDir() { static_cast<void>(remove_tree(AT_FDCWD, path_)); }

    const std::string& path() const { return path_; }

  private:
    std::string path_;
};

/// The value of a Result, or a failed test that says the error.
template <typename T>
T must(Result<T> result) {
    if (!result) {
        FAIL(result.error().message());
    }
    if constexpr (!std::is_void_v<T>) {
        return *std::move(result);
    }
}

}  // namespace davit::test
