// Goal: DELETE /images/{name} takes and keeps what Docker's does.
// Method: one small story per rule; afterwards every invariant of the graph holds.
#include "graph/image_remove.h"

#include "graph/container_store.h"
#include "tests/unit/graph/db/graph_fixture.h"

using namespace davit;
using davit::test::GraphFixture;
using davit::test::must;
using davit::test::nothing_pinned;
using davit::test::Words;

namespace {

struct Removal : GraphFixture {
    Result<ImageRemoved> remove(const std::string& text, bool force = false) {
        ImageRemove request;
        request.text = text;
        request.force = force;
        request.users = users;
        request.pinned = pinned;
        Result<ImageRemoved> removed =
            db->update([&](WriteTxn& txn) { return image_remove(txn, request); });
        check();
        return removed;
    }

    /// "-name" for untagged, "x label" for deleted, in order.
    Words removed_words(const std::string& text, bool force = false) {
        Words words;
        for (const ImageRemoved::Entry& entry : must(remove(text, force)).entries) {
            const bool untagged = entry.kind == ImageRemoved::Entry::Kind::untagged;
            words.push_back(untagged ? "-" + entry.text : "x " + labels[entry.text]);
        }
        return words;
    }

    std::string conflict(const std::string& text, bool force = false) {
        const Result<ImageRemoved> removed = remove(text, force);
        REQUIRE_FALSE(removed);
        CHECK(removed.error().kind() == ErrorKind::conflict);
        return removed.error().message();
    }

    Digest make(const std::string& label, const Words& names, const Digest& parent = {}) {
        const Digest id = pull(label, {"base", label}, names, parent);
        labels[id.str()] = label;
        return id;
    }

    ContainerId container_of(const Digest& image,
                             const std::string& label,
                             bool running,
                             ContainerHome home = ContainerHome::graph) {
        ContainerEntry entry;
        entry.id = ContainerId::generate();
        entry.image = image;
        entry.chain_id = chain_id(diffs_of({"base", label}));
        GraphDb& database = home == ContainerHome::graph ? *db : *run;
        must(database.update([&](WriteTxn& txn) { return container_create(txn, home, entry); }));
        users.push_back(ImageUser{entry.id.str(), image, running});
        return entry.id;
    }

    bool is_there(const Digest& image) {
        return view([&](const ReadTxn& txn) { return image_get(txn, image); }).has_value();
    }

    std::vector<ImageUser> users;
    ChainPinned pinned = nothing_pinned;
    std::map<std::string, std::string> labels;
};

}  // namespace

TEST_CASE("removal by the last reference takes the image and its own layers") {
    Removal box;
    const Digest one = box.make("one", {"one"});
    box.make("two", {"two"});
    CHECK(box.remove("none").error().message() == "No such image: none:latest");
    const ImageRemoved removed = must(box.remove("one"));
    REQUIRE(removed.entries.size() == 2);
    CHECK(removed.entries[0].text == "one:latest");
    CHECK(removed.entries[0].image == one);
    CHECK(removed.entries[1].text == one.str());
    CHECK(removed.directories.size() == 1);  // The base is shared.
    CHECK(must(box.remove("two")).directories.size() == 2);
    CHECK(box.directories_in(LayerDirectoryState::ready) == 0);
}

TEST_CASE("removal by one of several references only untags") {
    Removal box;
    const Digest one = box.make("one", {"one:a", "one:b", "other"});
    CHECK(box.removed_words("one:a") == Words{"-one:a"});
    CHECK(box.removed_words("other") == Words{"-other:latest"});
    CHECK(box.is_there(one));
    CHECK(box.removed_words("one:b") == Words{"-one:b", "x one"});
}

TEST_CASE("removal of a repository's last tag takes its digests along") {
    Removal box;
    const std::string digest = sha256_of("m").str();
    const Digest one = box.make("one", {"one:a", "one:b", "one@" + digest, "two@" + digest});
    CHECK(box.removed_words("one:a") == Words{"-one:a"});
    CHECK(box.removed_words("one:b") == Words{"-one:b", "-one@" + digest});
    CHECK(box.names_of(one) == Words{"two@" + digest});
    CHECK(box.removed_words("two@" + digest) == Words{"-two@" + digest, "x one"});
}

TEST_CASE("removal by id takes a single reference along, more need force") {
    Removal box;
    const std::string digest = sha256_of("m").str();
    const Digest one = box.make("one", {"one:a", "one@" + digest});
    CHECK(box.removed_words(one.str()) == Words{"-one:a", "-one@" + digest, "x one"});
    const Digest two = box.make("two", {"two:a", "two:b"});
    CHECK(box.conflict(two.short_hex()) ==
          "conflict: unable to delete " + two.short_hex() +
              " (must be forced) - image is referenced in multiple repositories");
    CHECK(box.removed_words(two.short_hex(), true) == Words{"-two:a", "-two:b", "x two"});
    const Digest untagged = box.make("three", {});
    CHECK(box.removed_words(std::string(untagged.hex())) == Words{"x three"});
}

TEST_CASE("removal stops at containers; force overrides stopped ones only") {
    Removal box;
    const Digest one = box.make("one", {"one"});
    const std::string id = box.container_of(one, "one", false).short_id();
    CHECK(box.conflict("one") ==
          "conflict: unable to remove repository reference \"one\" (must force) - container " + id +
              " is using its referenced image " + one.short_hex());
    CHECK(box.conflict(one.str()) == "conflict: unable to delete " + one.short_hex() +
                                         " (must be forced) - image is being used by stopped "
                                         "container " +
                                         id);
    CHECK(box.names_of(one) == Words{"one:latest"});
    CHECK(box.removed_words("one", true) == Words{"-one:latest", "x one"});
    // The container can still start: its chain is there until it goes.
    const Digest chain = chain_id(GraphFixture::diffs_of({"base", "one"}));
    CHECK(box.view([&](const ReadTxn& txn) { return chain_directories(txn, chain); }).size() == 2);
    box.update([&](WriteTxn& txn) -> Result<void> {
        TRY(const ContainerId container, ContainerId::parse(box.users[0].container_id));
        TRY(const std::vector<Digest> held, container_erase(txn, ContainerHome::graph, container));
        TRY(const Words directories, chain_collect(txn, held, nothing_pinned));
        CHECK(directories.size() == 2);
        return ok;
    });
    box.check();
}

TEST_CASE("removal never takes the image from a running container") {
    Removal box;
    const Digest one = box.make("one", {"one", "uno"});
    const std::string id = box.container_of(one, "one", true).short_id();
    CHECK(box.conflict(one.str(), true) ==
          "conflict: unable to delete " + one.short_hex() +
              " (cannot be forced) - image is being used by running container " + id);
    CHECK(box.removed_words("uno") == Words{"-uno:latest"});
    CHECK(box.conflict("one").find("must force") != std::string::npos);
    CHECK(box.removed_words("one", true) == Words{"-one:latest"});  // Untagged, kept.
    CHECK(box.is_there(one));
}

TEST_CASE("removal keeps the chain of a container that lives in the run database") {
    Removal box;
    const Digest one = box.make("one", {"one"});
    box.container_of(one, "one", false, ContainerHome::run);
    box.pinned = [](const Digest& chain) {
        return chain == chain_id(GraphFixture::diffs_of({"base", "one"}));
    };
    CHECK(box.conflict("one").find("is using its referenced image") != std::string::npos);
    CHECK(must(box.remove("one", true)).directories.empty());
    CHECK_FALSE(box.is_there(one));
    CHECK(box.directories_in(LayerDirectoryState::ready) == 2);
}

TEST_CASE("removal stops at child images and prunes untagged parents") {
    Removal box;
    const Digest base = box.make("base image", {"base"});
    const Digest step = box.make("step", {}, base);
    const Digest final_image = box.make("final", {"final"}, step);
    CHECK(box.conflict(step.str(), true) ==
          "conflict: unable to delete " + step.short_hex() +
              " (cannot be forced) - image has dependent child images");
    CHECK(box.removed_words("base") == Words{"-base:latest"});
    box.tag("base", base);
    CHECK(box.removed_words("final") == Words{"-final:latest", "x final", "x step"});
    CHECK(box.is_there(base));
    CHECK_FALSE(box.is_there(final_image));
}

TEST_CASE("removal without pruning leaves parents") {
    Removal box;
    const Digest step = box.make("step", {});
    box.make("final", {"final"}, step);
    ImageRemove request;
    request.text = "final";
    request.prune_parents = false;
    request.pinned = nothing_pinned;
    box.update([&](WriteTxn& txn) { return image_remove(txn, request); });
    CHECK(box.is_there(step));
    box.check();
}
