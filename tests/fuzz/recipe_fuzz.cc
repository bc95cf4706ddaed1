// Promises: a recipe means the same on every reading, ends, and never gives more than it says; a
// list of replaced files names nothing outside its own file; damage is an error and no more.
#include <sys/mman.h>
#include <unistd.h>

#include "graph/layer_recipe.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/graph/tar/recipe_support.h"
#include "tests/unit/graph/tar/tar_support.h"

namespace davit::fuzz {

namespace {

/// The input as a file without a name.
Fd file_of(std::string_view input) {
    Fd file(::memfd_create("recipe", MFD_CLOEXEC));
    require(file && write_all(file.get(), input).has_value(), "memory for the input");
    require(::lseek(file.get(), 0, SEEK_SET) == 0, "a file can be read again");
    return file;
}

/// Recipes are compressed: mutations of what is inside reach the reader only if they are made
/// before.
std::string compressed(std::string_view input) {
    return test::deflate_all(input, Compression::zstd);
}

void recipe_read(std::string_view bytes) {
    LayerRecipeReader reader(file_of(bytes));
    std::uint64_t total = 0;
    std::uint64_t ordinal = 0;
    for (;;) {
        const auto part = reader.next();
        if (!part) {
            require(!reader.next().has_value(), "an error is final");
            return;
        }
        if (part->kind == LayerRecipePart::Kind::end) {
            require(reader.next()->kind == LayerRecipePart::Kind::end, "the end is the end");
            return;
        }
        total += part->size;
        require(total <= static_cast<std::uint64_t>(INT64_MAX), "archives have a bound");
        if (part->kind == LayerRecipePart::Kind::raw) {
            require(part->bytes.size() == part->size, "raw bytes are all there");
        } else if (part->kind == LayerRecipePart::Kind::payload) {
            require(layer_recipe_names(part->path), "a payload has a file");
            require(part->ordinal >= ordinal, "payloads are counted");
            ordinal = part->ordinal;
        }
    }
}

void recipe(std::string_view input) {
    recipe_read(input);
    recipe_read(compressed(input));
    const Fd file = file_of(input);
    static_cast<void>(layer_recipe_archive_bytes(file.get()).has_value());
}

void replaced(std::string_view input) {
    const Fd file = file_of(input);
    const auto all = layer_replaced_read(file.get());
    if (!all) {
        return;
    }
    for (const LayerReplaced& one : *all) {
        require(layer_recipe_names(one.path), "a content has a name");
        require(one.offset <= input.size() && one.size <= input.size() - one.offset,
                "contents are in the file");
    }
}

/// What the writer makes of an archive with every kind of record.
std::vector<std::string> written(const char* name, bool inflated) {
    const test::RecipeDir dir;
    test::ArchiveBuilder archive;
    archive.file("a", "first").directory("d").file("d/b", std::string(1000, 'b'));
    archive.file("a", "second").hardlink("c", "a").file(".wh.e");
    const std::string bytes = archive.build() + test::zero_blocks(18);
    require(!test::extract_recorded(dir, bytes).error, "the seed is a layer");
    std::string file = *file_read(dir.path() + "/" + name);
    return {inflated ? test::inflate_all(file).bytes : file};
}

std::vector<std::string> recipes() {
    std::vector<std::string> seeds = written(layer_recipe_name, true);
    seeds.push_back(written(layer_recipe_name, false).front());
    return seeds;
}

const bool registered =
    add({"recipe",
         recipe,
         recipes(),
         {"davit layer recipe 1\n", "r", "z", "p", "e", std::string(1, '\0'), "\x80", "\xff"},
         3000}) &&
    add({"recipe_replaced",
         replaced,
         written(layer_replaced_name, false),
         {"davit replaced files 1\n", std::string(4, '\0'), "\x01", "\xff\xff\xff\xff"},
         3000});

}  // namespace

}  // namespace davit::fuzz
