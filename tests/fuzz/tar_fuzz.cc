// Promises: an archive or a compressed stream means the same however its bytes are cut; sizes and
// offsets that the reader announces hold; a layer touches nothing outside its root, and both
// backends make the same of it; nothing crashes.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "graph/tar_path.h"
#include "graph/tar_reader.h"
#include "graph/whiteout.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/graph/tar/layer_support.h"
#include "tests/unit/graph/tar/tar_support.h"

namespace davit::fuzz {

namespace {

std::size_t piece_of(std::string_view input) {
    return std::hash<std::string_view>{}(input) % 1500 + 1;
}

/// Nearly every mutation breaks a checksum, and everything behind it would go untested: put them
/// right, header by header.
std::string with_checksums(std::string_view input) {
    std::string archive(input);
    for (std::size_t at = 0; at + tar_block_bytes <= archive.size();) {
        const auto bytes = test::bytes_of(archive).subspan(at);
        const TarBlock block = bytes.first<tar_block_bytes>();
        std::uint64_t size = 0;
        if (!tar_block_is_zero(block)) {
            std::array<char, 8> sum{};
            std::snprintf(sum.data(), sum.size(), "%06o", tar_checksum(block) & 0777777);
            sum[7] = ' ';
            std::copy(sum.begin(), sum.end(), &archive[at + tar_field::checksum.offset]);
            const auto number =
                tar_number_parse(block.subspan(tar_field::size.offset, tar_field::size.size));
            size = number && *number > 0 ? static_cast<std::uint64_t>(*number) : 0;
        }
        if (size > archive.size()) {
            break;
        }
        at += tar_block_bytes + size + tar_padding(size);
    }
    return archive;
}

/// Everything the reader says; data as (offset, bytes), joined over the cuts.
std::string meaning(std::string_view archive, std::size_t piece) {
    TarReader reader(1000);
    std::string out;
    std::uint64_t end = 0;
    const auto fail = [&](const Error& error) {
        return out + "error " + std::string(error_kind_name(error.kind())) + error.message();
    };
    while (!archive.empty()) {
        auto input = test::bytes_of(archive.substr(0, piece));
        archive.remove_prefix(input.size());
        for (;;) {
            const auto event = reader.next(input);
            if (!event) {
                return fail(event.error());
            }
            const TarEntry& entry = reader.entry();
            if (event->kind == TarEvent::Kind::need_input) {
                require(input.empty(), "all input is taken");
                break;
            }
            if (event->kind == TarEvent::Kind::data) {
                require(event->offset >= end, "offsets rise");
                require(event->data.size() <= entry.size &&
                            event->offset <= entry.size - event->data.size(),
                        "data stays inside the file");
                out += event->offset == end ? "" : "@" + std::to_string(event->offset);
                out.append(reinterpret_cast<const char*>(event->data.data()), event->data.size());
                end = event->offset + event->data.size();
                continue;
            }
            end = 0;
            out += "\n" + std::to_string(static_cast<int>(event->kind));
            if (event->kind == TarEvent::Kind::entry) {
                require(entry.path.size() <= limits::tar_path_bytes_max, "names have a bound");
                out += entry.path + "|" + entry.linkpath + "|" + std::to_string(entry.size) + "|" +
                       std::to_string(entry.mode) + "|" + std::to_string(entry.mtime.seconds);
                for (const TarXattr& xattr : entry.xattrs) {
                    out += xattr.name + "=" + xattr.value;
                }
            }
        }
    }
    const auto finished = reader.finish();
    return finished ? out : fail(finished.error());
}

void tar(std::string_view input) {
    for (const std::string& archive : {std::string(input), with_checksums(input)}) {
        const std::string whole = meaning(archive, SIZE_MAX);
        require(meaning(archive, piece_of(input)) == whole, "pieces mean what the whole means");
        require(meaning(archive, 1) == whole, "bytes mean what the whole means");
    }
}

void names(std::string_view input) {
    const auto clean = tar_path_clean(input);
    if (!clean) {
        return;
    }
    require(!clean->starts_with('/') && !clean->ends_with('/'), "a clean name is relative");
    const std::string inside = "/" + *clean + "/";
    for (const char* part : {"//", "/./", "/../"}) {
        require(clean->empty() || inside.find(part) == std::string::npos, "a clean name is clean");
    }
    require(*tar_path_clean(*clean) == *clean, "cleaning twice changes nothing");
    const auto whiteout = whiteout_parse(*clean);
    if (whiteout && whiteout->kind == WhiteoutKind::remove) {
        require(*tar_path_clean(whiteout->target) == whiteout->target && !whiteout->target.empty(),
                "a whiteout's target is a clean name");
    }
}

void inflate(std::string_view input) {
    constexpr std::uint64_t bytes_max = 1 << 20;
    const auto whole = test::inflate_all(input, SIZE_MAX, 1 << 16, bytes_max);
    const auto pieces = test::inflate_all(input, piece_of(input), 777, bytes_max);
    const auto bytes = test::inflate_all(input, 1, 1 << 16, bytes_max);
    require(whole.bytes.size() <= bytes_max, "the bound holds");
    for (const auto* other : {&pieces, &bytes}) {
        require(other->error.has_value() == whole.error.has_value(), "all cuts agree on damage");
        require(whole.error || other->bytes == whole.bytes, "all cuts give the same bytes");
    }
}

void layer(std::string_view input) {
    const std::string archive = with_checksums(input);
    // One for all runs, in memory where there is room: what lies beside the roots must never
    // change.
    static const test::LayerDir base(::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    static const test::Listing beside = base.outside();
    std::array<test::Listing, 2> trees;
    std::array<bool, 2> failed{};
    for (const unsigned helpers : {0U, 2U}) {
        const std::size_t index = helpers == 0 ? 0 : 1;
        require(::mkdir(base.root().c_str(), 0755) == 0 || errno == EEXIST, "a root can be made");
        LayerExtractOptions options;
        options.helpers = helpers;
        options.entries_max = 1000;
        const auto done = test::extract(base.root_fd(), archive, options, piece_of(input));
        failed[index] = done.error.has_value();
        test::ListingOptions no_times;
        no_times.mtimes = false;
        if (!done.error) {
            trees[index] = test::listing(base.root(), no_times);
        }
        require(remove_tree(AT_FDCWD, base.root()).has_value(), "the layer can be removed");
    }
    require(base.outside() == beside, "nothing outside the root changed");
    require(failed[0] == failed[1], "with helpers the same is accepted");
    require(trees[0] == trees[1], "with helpers the same is made");
}

std::vector<std::string> archives() {
    std::vector<std::string> seeds;
    for (const char* name : {"gnu_ustar.tar",
                             "gnu_gnu.tar",
                             "gnu_pax.tar",
                             "gnu_v7.tar",
                             "python_pax.tar",
                             "python_gnu.tar"}) {
        seeds.push_back(test::fixture(name));
    }
    for (const auto& [map, data] : {std::pair{"0,1,5,2", "abc"}, std::pair{"2,3", "abc"}}) {
        seeds.push_back(test::raw_pax({{"GNU.sparse.map", map}, {"GNU.sparse.size", "10"}}) +
                        test::raw_entry({}, data) + test::zero_blocks());
    }
    std::string in_data = "1\n2\n3\n";
    in_data.resize(tar_block_bytes, '\0');
    seeds.push_back(test::raw_pax({{"GNU.sparse.major", "1"}, {"GNU.sparse.realsize", "10"}}) +
                    test::raw_entry({}, in_data + "abc") + test::zero_blocks());
    return seeds;
}

std::vector<std::string> layers() {
    std::vector<std::string> seeds = archives();
    test::ArchiveBuilder links;
    links.file("a")
        .symlink("l", "../outside")
        .file("l/file", "evil")
        .symlink("b", "d")
        .directory("d");
    links.file("b/x", "1").hardlink("h", "d/x").hardlink("d/y", "b/x").file("d/x", "2");
    test::ArchiveBuilder whiteouts;
    whiteouts.file("a")
        .file(".wh.b")
        .directory("b")
        .file("b/c")
        .file("b/.wh..wh..opq")
        .file("b/.wh.c");
    whiteouts.file("b", "file").file(".wh.a").file("d/e/f/.wh.g").symlink("d/e", "/b").file("x");
    seeds.push_back(links.build());
    seeds.push_back(whiteouts.build());
    return seeds;
}

std::vector<std::string> streams() {
    std::vector<std::string> seeds = {"plain", std::string(3000, '\0')};
    std::string text;
    for (int i = 0; i < 300; ++i) {
        text += std::to_string(i * 7919) + " container\n";
    }
    for (const Compression compression : {Compression::gzip, Compression::zstd}) {
        const std::string one = test::deflate_all(text, compression);
        seeds.push_back(one);
        seeds.push_back(one + test::deflate_all("", compression) + one);
        seeds.push_back(test::deflate_all(std::string(200'000, 'x'), compression));
    }
    return seeds;
}

const std::vector<std::string> tar_words = {std::string(512, '\0'),
                                            std::string("ustar\00000", 8),
                                            std::string("ustar  \0", 8),
                                            "\x80",
                                            "\xff",
                                            "00000001000",
                                            "x",
                                            "g",
                                            "L",
                                            "K",
                                            "S",
                                            "1",
                                            "2",
                                            "5",
                                            "../",
                                            "/",
                                            ".wh.",
                                            ".wh..wh..opq",
                                            "20 mtime=1.5\n",
                                            "GNU.sparse.major=1\n",
                                            "SCHILY.xattr.user.a=",
                                            "outside",
                                            "victim"};

const bool registered =
    add({"tar", tar, {}, tar_words, 1500, archives}) &&
    add({"tar_names",
         names,
         {"a/b", "../a", "./a//b/../c", "a/.wh.b", ".wh..wh..opq"},
         {"..", "/", ".", ".wh.", ".wh..wh.", std::string(1, '\0'), std::string(255, 'a')},
         20000}) &&
    add({"inflate",
         inflate,
         {},
         {"\x1f\x8b\x08",
          "\x28\xb5\x2f\xfd",
          "\x50\x2a\x4d\x18",
          std::string(4, '\0'),
          "BZh",
          "\xff\xff"},
         3000,
         streams}) &&
    add({"layer", layer, {}, tar_words, 400, layers});

}  // namespace

}  // namespace davit::fuzz
