#pragma once
/// LayerRecipe: how to make a layer's archive again, byte for byte, from the layer's files.
///
/// A layer's name is the digest of its archive, and an archive says more than a file system keeps:
/// the order of the entries, how each header is spelled, what pads it. So while a layer is unpacked
/// everything that is not the content of a file is kept beside it, and each content is a reference:
/// that many bytes of that file. LayerArchive puts both together again.
///
/// Two files, which lie where no container sees them:
///
///   recipe     one zstd frame: the magic line, then records of a tag byte, numbers (LEB128, up to
///              63 bits) and bytes:
///                raw      LENGTH BYTES                 as they are
///                zeros    LENGTH                       that many zero bytes
///                payload  PATH-LENGTH PATH OFFSET SIZE that part of a file; no path: as before
///                end      ARCHIVE-BYTES                how long the archive is
///              then a skippable zstd frame with the archive's length once more, to be read without
///              reading the rest.
///   replaced   only if an archive has a name more than once: the contents that a later entry
///              replaced. The magic line, then of each: PATH-LENGTH (4 bytes), BEFORE (8), SIZE
///              (8), PATH, content; little-endian. Of the payloads that begin with that path, those
///              among the first BEFORE of the recipe mean this content, if no earlier one claims
///              them.
///
/// A change of the format gets another magic line.
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "reactor/base/fd.h"
#include "reactor/base/limits.h"
#include "reactor/base/result.h"

namespace davit {

inline constexpr const char* layer_recipe_name = "recipe";
inline constexpr const char* layer_replaced_name = "replaced";

/// What the paths of replaced contents may take in memory: some hundred thousand of them. Real
/// layers have a handful, from archives that were appended to.
inline constexpr std::size_t layer_replaced_index_bytes_max = 32 * 1024 * 1024;

/// Whether a file of that path can be referred to. The bytes of others are given as raw ones.
inline bool layer_recipe_names(std::string_view path) {
    return !path.empty() && path.size() <= limits::tar_path_bytes_max;
}

/// Writes the recipe of an archive that is being unpacked. Calls come in the archive's order.
class LayerRecipeWriter {
  public:
    /// directory: where the two files go; it has none of that name.
    static Result<std::unique_ptr<LayerRecipeWriter>> create(Fd directory);
    LayerRecipeWriter(const LayerRecipeWriter&) = delete;
    LayerRecipeWriter& operator=(const LayerRecipeWriter&) = delete;
    ~LayerRecipeWriter();

    /// Bytes of the archive that no file holds.
    Result<void> raw(std::span<const std::uint8_t> bytes);

    /// A file begins. path: without symbolic links in it, from the layer's root, and one that
    /// layer_recipe_names() takes.
    void file_begin(std::string path);

    /// Bytes of the archive that the file holds at this offset.
    Result<void> file_data(std::uint64_t offset, std::uint64_t size);

    /// A name that is another one's file: nothing refers to it by this name.
    void link_made(std::string_view path);

    /// dir/name, a regular file that is all on disk, is about to be removed. path: its own, without
    /// symbolic links. Keeps the content if the recipe refers to it.
    Result<void> replaced(int dir, const std::string& name, const std::string& path);

    /// The archive is complete; the files are. Not synced.
    Result<void> finish();

  private:
    struct State;

    explicit LayerRecipeWriter(std::unique_ptr<State> state);

    std::unique_ptr<State> state_;
};

/// One part of an archive.
struct LayerRecipePart {
    enum class Kind : std::uint8_t {
        raw,      ///< `bytes`, valid until the next call.
        zeros,    ///< `size` of them.
        payload,  ///< `size` bytes of the file `path` from `offset` on.
        end,
    };

    Kind kind = Kind::end;
    std::string_view bytes;
    std::string_view path;
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
    /// How many payloads with a path came before the one that this part belongs to.
    std::uint64_t ordinal = 0;
};

/// Reads a recipe part by part, in bounded memory. What is on a disk may be damaged: nothing is
/// taken for granted.
class LayerRecipeReader {
  public:
    explicit LayerRecipeReader(Fd file);
    LayerRecipeReader(LayerRecipeReader&&) noexcept;
    LayerRecipeReader& operator=(LayerRecipeReader&&) noexcept;
    ~LayerRecipeReader();

    /// Long raw parts come in pieces. After the end it stays the end.
    /// Errors: corrupt; unsupported (a format that this version does not know).
    Result<LayerRecipePart> next();

  private:
    struct State;

    std::unique_ptr<State> state_;
};

/// How long the archive is that a recipe gives. Errors: corrupt.
Result<std::uint64_t> layer_recipe_archive_bytes(int file);

/// Where the contents are that later entries replaced.
struct LayerReplaced {
    std::string path;
    std::uint64_t before = 0;
    std::uint64_t offset = 0;  ///< Of the content in the file `replaced`.
    std::uint64_t size = 0;
};

/// In the order of the file. Errors: corrupt; resource_exhausted beyond
/// layer_replaced_index_bytes_max.
Result<std::vector<LayerReplaced>> layer_replaced_read(int file);

}  // namespace davit
