// Goal: no archive touches anything outside its root, and every malformed one is refused. Method:
// each escape that extractors have fallen for, with precious files beside the root that are listed
// before and after; with any number of threads.
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "graph/layer_extract.h"
#include "tests/support/catch.h"
#include "tests/unit/graph/tar/layer_support.h"
#include "tests/unit/graph/tar/tar_support.h"

using namespace davit;
using namespace davit::test;
using Catch::Matchers::Contains;

namespace {

/// Threads beside the caller's.
constexpr unsigned helper_counts[] = {0, 1, 3};

struct Hostile {
    std::string what;
    std::string archive;
    bool refused = true;  ///< Else it is harmless, because everything stays inside.
};

std::string absolute(const LayerDir& layer, const char* name) {
    return layer.path() + name;
}

/// A first file goes another way than later ones: every archive starts with one.
ArchiveBuilder started() {
    ArchiveBuilder archive;
    archive.file("first");
    return archive;
}

std::vector<Hostile> names_out(const LayerDir& layer) {
    return {
        {"dot-dot", started().file("../victim", "evil").build()},
        {"dot-dot inside", started().directory("a").file("a/../../victim", "evil").build()},
        {"dot-dot directory", started().directory("../outside", 0777).build()},
        {"dot-dot symlink", started().symlink("../victim", "evil").build()},
        {"dot-dot whiteout", started().file("../.wh.victim").build()},
        {"dot-dot opaque", started().file("../outside/.wh..wh..opq").build()},
        {"rooted dot-dot", started().file("/../victim", "evil").build()},
        {"absolute", started().file(absolute(layer, "/victim"), "evil").build(), false},
        {"root as a file", started().file("./", "evil").build()},
        {"root as a link", started().symlink(".", "..").build()},
        {"whiteout of dot", started().file(".wh..").build()},
        {"whiteout of dot-dot", started().file("a/.wh...").build()},
        {"whiteout without a name", started().file(".wh.").build()},
        {"whiteout as parent", started().file(".wh.a/b", "evil").build()},
    };
}

std::vector<Hostile> through_links(const LayerDir& layer) {
    const std::string outside = absolute(layer, "/outside");
    return {
        {"parent links up", started().symlink("l", "../outside").file("l/file", "evil").build()},
        {"parent links out", started().symlink("l", outside).file("l/file", "evil").build()},
        {"link into dir link",
         started().symlink("l", "../outside").file("l/dir/file", "evil").build()},
        {"chain of links",
         started().symlink("a", "..").symlink("b", "a/outside").file("b/file", "evil").build()},
        {"link to dot-dot below",
         started().directory("d").symlink("d/l", "../..").file("d/l/victim", "evil").build(),
         false},
        {"directory over a link out",
         started().symlink("l", outside).directory("l", 0777).file("l/file", "mine").build(),
         false},
        {"write through a link to a file",
         started().symlink("l", "../victim").file("l", "evil").build(),
         false},
        {"whiteout through a link", started().symlink("l", outside).file("l/.wh.file").build()},
        {"opaque through a link", started().symlink("l", outside).file("l/.wh..wh..opq").build()},
        {"device behind a link",
         started()
             .symlink("l", "/dev")
             .add(entry_of(TarType::fifo, "l/davit-test-evil", 0600))
             .build()},
        {"proc magic link",
         started().symlink("l", "/proc/self/root").file("l/tmp/davit-test-evil", "evil").build()},
        {"self link", started().symlink("l", "l").file("l/x", "evil").build()},
        {"dangling", started().symlink("l", "nowhere").file("l/x", "evil").build()},
        {"file as parent", started().file("f", "x").file("f/x", "evil").build()},
        {"file over a directory as parent",
         started().directory("d").file("d/in").file("d", "x").file("d/below", "evil").build()},
        {"file over a link as parent",
         started().directory("d").symlink("l", "d").file("l", "x").file("l/below", "evil").build()},
        {"file in flight as parent", started().file("f", "x").file("f/x/y/z", "evil").build()},
    };
}

std::vector<Hostile> hard_links(const LayerDir& layer) {
    return {
        {"hard link out", started().hardlink("h", "../victim").file("h", "evil").build()},
        {"hard link absolute",
         started().hardlink("h", absolute(layer, "/victim")).file("h", "evil").build(),
         false},
        {"hard link through a link",
         started().symlink("l", "../outside").hardlink("h", "l/file").file("h", "evil").build(),
         false},
        {"hard link to a link out, then written",
         started().symlink("l", "../victim").hardlink("h", "l").file("h", "mine").build(),
         false},
        {"hard link to nothing", started().hardlink("h", "missing").build(), false},
        {"hard link to nothing yet", started().hardlink("h", "late").file("late").build(), false},
        {"hard link to itself", started().hardlink("h", "h").build()},
        {"hard link to itself, existing", started().file("h", "x").hardlink("h", "./h").build()},
        {"hard link to a directory", started().directory("d").hardlink("h", "d").build()},
        {"hard link to the root", started().hardlink("h", "/").build()},
        {"hard link in place of the root", started().hardlink("/", "first").build()},
        {"symlink to nothing", started().symlink("l", "").build()},
    };
}

}  // namespace

TEST_CASE("hostile: nothing outside the root changes, whatever the names") {
    const LayerDir names;
    std::vector<Hostile> cases = names_out(names);
    for (auto& more : {through_links(names), hard_links(names)}) {
        cases.insert(cases.end(), more.begin(), more.end());
    }
    const char* const on_host[] = {"/dev/davit-test-evil", "/tmp/davit-test-evil"};
    for (const Hostile& hostile : cases) {
        std::vector<Listing> trees;
        for (const unsigned helpers : helper_counts) {
            CAPTURE(hostile.what, helpers);
            const LayerDir layer;
            // The archives name one directory; what is beside it and beside this root is watched.
            const Listing before = names.outside();
            const Listing beside = layer.outside();
            LayerExtractOptions options;
            options.helpers = helpers;
            const Extraction done = extract(layer.root_fd(), hostile.archive, options, 700);
            CHECK((names.outside() == before));
            CHECK((layer.outside() == beside));
            for (const char* path : on_host) {
                CHECK(::access(path, F_OK) != 0);
                ::unlink(path);
            }
            CHECK(done.error.has_value() == hostile.refused);
            if (hostile.refused) {
                CHECK(done.kind() == ErrorKind::corrupt);
            } else {
                INFO(done.error_text());
                trees.push_back(listing(layer.root()));
            }
        }
        CAPTURE(hostile.what);
        for (Listing& tree : trees) {
            for (auto& [path, text] : tree) {
                text.resize(text.find(" mtime="));  // Made parents have the time of making.
            }
            CHECK((tree == trees.front()));
        }
    }
}

TEST_CASE("hostile: errors name the entry") {
    const LayerDir layer;
    const auto text = [&](const ArchiveBuilder& archive) {
        return extract(layer.root_fd(), archive.build(), {}).error_text();
    };
    CHECK_THAT(text(started().file("a/../../b")), Contains("a/../../b") && Contains("climbs"));
    CHECK_THAT(text(started().directory("the-target").hardlink("the-link", "the-target")),
               Contains("the-link") && Contains("the-target"));
    CHECK_THAT(text(started().file("f").file("f/below")), Contains("f/below"));
}

TEST_CASE("hostile: malformed archives leave an error, cut ones too") {
    for (const unsigned helpers : helper_counts) {
        const LayerDir layer;
        LayerExtractOptions options;
        options.helpers = helpers;
        const std::string archive = started().file("a", std::string(50'000, 'x')).build();
        const Extraction cut =
            extract(layer.root_fd(), std::string_view(archive).substr(0, 20'000), options);
        CHECK(cut.kind() == ErrorKind::corrupt);
        CHECK_THAT(cut.error_text(), Contains("tar entry a"));
        CHECK(extract(layer.root_fd(), std::string(512, 'x'), options).kind() ==
              ErrorKind::corrupt);

        auto opened = LayerExtract::open(layer.root_fd(), options);
        REQUIRE(opened);
        REQUIRE_FALSE(opened->feed(bytes_of(started().file("../x").build())));
        CHECK_FALSE(opened->feed(bytes_of(started().build())));  // An error is final.
        CHECK_FALSE(opened->finish());
    }
}

TEST_CASE("hostile: limits") {
    for (const unsigned helpers : helper_counts) {
        LayerExtractOptions options;
        options.helpers = helpers;
        options.bytes_max = 100'000;
        const LayerDir layer;
        CHECK(extract(layer.root_fd(),
                      started().file("big", std::string(100'001, 'x')).build(),
                      options)
                  .kind() == ErrorKind::resource_exhausted);
        options.entries_max = 50;
        ArchiveBuilder many = started();
        for (int i = 0; i < 50; ++i) {
            many.file("f" + std::to_string(i));
        }
        CHECK(extract(layer.root_fd(), many.build(), options).kind() ==
              ErrorKind::resource_exhausted);
        // One entry that would make a thousand parents.
        std::string deep;
        for (int i = 0; i < 1000; ++i) {
            deep += "d/";
        }
        CHECK(extract(layer.root_fd(), started().file(deep + "f").file("g").build(), options)
                  .kind() == ErrorKind::resource_exhausted);
    }
}

TEST_CASE("hostile: names and device numbers the kernel would not take") {
    const LayerDir layer;
    CHECK(extract(layer.root_fd(), started().file(std::string(256, 'x')).build(), {}).kind() ==
          ErrorKind::corrupt);
    TarEntry device = entry_of(TarType::char_device, "dev", 0600);
    device.dev_major = 0x1000;
    CHECK(extract(layer.root_fd(), started().add(device).build(), {}).kind() == ErrorKind::corrupt);
}

TEST_CASE("hostile: a full disk ends it, with any number of threads") {
    if (::geteuid() != 0) {
        WARN("needs root to mount a small tmpfs, skipped");
        return;
    }
    for (const unsigned helpers : helper_counts) {
        for (const std::size_t size : {std::size_t{20'000}, std::size_t{3'000'000}}) {
            CAPTURE(helpers, size);
            const LayerDir layer;
            if (::mount("tmpfs", layer.root().c_str(), "tmpfs", 0, "size=2m,nr_inodes=2000") != 0) {
                WARN("cannot mount here, skipped");
                return;
            }
            ArchiveBuilder archive = started();
            // More than can be in flight when the first error comes back.
            for (int i = 0; i < (size < 100'000 ? 700 : 3); ++i) {
                archive.file("f" + std::to_string(i), std::string(size, 'x'));
            }
            archive.file("last", "never written");
            LayerExtractOptions options;
            options.helpers = helpers;
            const Extraction done = extract(layer.root_fd(), archive.build(), options, 65536);
            const bool last = ::access((layer.root() + "/last").c_str(), F_OK) == 0;
            CHECK(::umount2(layer.root().c_str(), MNT_DETACH) == 0);
            CHECK(done.kind() == ErrorKind::resource_exhausted);
            REQUIRE(done.error.has_value());
            CHECK(done.error->errno_value() == ENOSPC);
            CHECK_FALSE(last);
        }
    }
}

TEST_CASE("hostile: the umask of the process changes nothing") {
    // In a child: the umask belongs to the whole process.
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        bool same = true;
        for (const mode_t mask : {mode_t{0}, mode_t{077}, mode_t{0777}}) {
            const LayerDir layer;
            ::umask(mask);
            for (const unsigned helpers : helper_counts) {
                LayerExtractOptions options;
                options.helpers = helpers;
                ArchiveBuilder archive = started();
                archive.file("a/plain").directory("b").file("b/plain").add(
                    entry_of(TarType::file, "b/open", 0666));
                const Extraction done = extract(layer.root_fd(), archive.build(), options);
                const Listing tree = listing(layer.root());
                same = same && !done.error && tree.at("a").starts_with("040755") &&
                       tree.at("a/plain").starts_with("100644") &&
                       tree.at("b").starts_with("040755") &&
                       tree.at("b/open").starts_with("100666");
            }
            ::umask(022);
        }
        ::_exit(same ? 0 : 1);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
}
