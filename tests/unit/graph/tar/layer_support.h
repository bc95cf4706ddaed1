#pragma once
/// A private directory with a layer's root in it, and the means to see what an archive did to both.
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "graph/layer_extract.h"
#include "graph/tar_writer.h"
#include "reactor/base/fd.h"

namespace davit::test {

/// Path below a directory -> everything about it that a test may care for, as text.
using Listing = std::map<std::string, std::string>;

struct ListingOptions {
    bool mtimes = true;
    std::string skip;  ///< A name at the top to leave out.
};

Listing listing(const std::string& directory, const ListingOptions& options = {});

class LayerDir {
  public:
    explicit LayerDir(const std::string& base = "/tmp");
    LayerDir(const LayerDir&) = delete;
    LayerDir& operator=(const LayerDir&) = delete;
    ~LayerDir();

    const std::string& path() const { return path_; }

    std::string root() const { return path_ + "/root"; }

    Fd root_fd() const;

    /// What lies beside the root and must never change.
    Listing outside() const;

  private:
    std::string path_;
};

struct Extraction {
    std::optional<Error> error;
    LayerExtractResult result;

    std::string error_text() const { return error ? error->message() : ""; }

    ErrorKind kind() const { return error ? error->kind() : ErrorKind::not_modified; }
};

Extraction extract(Fd root,
                   std::string_view archive,
                   LayerExtractOptions options,
                   std::size_t slice = SIZE_MAX);

/// Entries by hand, the way a test reads best.
class ArchiveBuilder {
  public:
    ArchiveBuilder& file(std::string path, std::string_view content = {});
    ArchiveBuilder& directory(std::string path, std::uint32_t mode = 0755);
    ArchiveBuilder& symlink(std::string path, std::string target);
    ArchiveBuilder& hardlink(std::string path, std::string target);
    ArchiveBuilder& add(TarEntry entry, std::string_view content = {});

    /// The archive so far, with its end.
    std::string build() const;

  private:
    std::string archive_;
};

TarEntry entry_of(TarType type, std::string path, std::uint32_t mode);

}  // namespace davit::test
