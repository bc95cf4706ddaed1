// Goal: an archive becomes an image with the changes that were asked for. Method: archives out of a
// socket, as a request body comes; the result is mounted and read back.
#include "jobs/image/import.h"

#include "graph/tag_store.h"
#include "reactor/stream.h"
#include "tests/unit/drivers/graph/driver_support.h"
#include "tests/unit/jobs/image/image_support.h"

using namespace davit;
using namespace davit::test;

namespace {

class TextSource final : public LayerSource {
  public:
    explicit TextSource(std::string text, bool fails = false)
        : text_(std::move(text)), fails_(fails) {}

    Task<std::size_t> read(std::span<char> buffer) override {
        if (text_.size() == at_ && fails_) {
            co_return Error(ErrorKind::unavailable, "the client went away");
        }
        const std::size_t count = std::min({buffer.size(), text_.size() - at_, std::size_t{700}});
        text_.copy(buffer.data(), count, at_);
        at_ += count;
        co_return count;
    }

  private:
    std::string text_;
    std::size_t at_ = 0;
    bool fails_;
};

const std::string archive = ArchiveBuilder().file("a", "imported").build();

}  // namespace

TEST_CASE("an archive of any compression becomes an image", "[import]") {
    for (const Compression compression : {Compression::none,
                                          Compression::gzip,
                                          Compression::zstd,
                                          Compression::bzip2,
                                          Compression::xz}) {
        CAPTURE(compression_name(compression));
        World world;
        TextSource source(layer_of(archive, compression).blob);
        ImportRequest request;
        request.reference = must(Reference::parse("made:1"));
        request.changes = {"CMD [\"/a\"]", "ENV X=1"};
        request.message = "from a test";
        const auto id = world.run(image_import(*world.images, request, source, world.progress));
        INFO((id ? "" : id.error().message()));
        REQUIRE(id);
        CHECK(world.progress.messages.back().status == id->str());
        CHECK(content(world.root_of(*id), "a") == "imported");
        const auto config_of = [&id](const ReadTxn& txn) { return image_config_bytes(txn, *id); };
        const ImageConfig config = must(image_config_parse(must(world.db->view(config_of))));
        CHECK(config.config.cmd == std::vector<std::string>{"/a"});
        CHECK(config.config.env == std::vector<std::string>{"X=1"});
        CHECK(config.platform.os == "linux");
        CHECK(config.diff_ids == std::vector<Digest>{sha256_of(archive)});
        REQUIRE(config.history.size() == 1);
        CHECK(config.history[0].comment == "from a test");
        const auto named = [](const ReadTxn& txn) -> Result<std::optional<Digest>> {
            TRY(const Reference name, Reference::parse("made:1"));
            return reference_get(txn, name);
        };
        CHECK(must(world.db->view(named)) == *id);
        world.check_clean(1);
    }
}

TEST_CASE("the same archive twice is one layer", "[import]") {
    World world;
    for (const char* name : {"one", "two"}) {
        TextSource source(archive);
        ImportRequest request;
        request.reference = must(Reference::parse(name));
        REQUIRE(world.run(image_import(*world.images, request, source, world.progress)));
    }
    world.check_clean(1);
}

TEST_CASE("what cannot be imported leaves nothing", "[import]") {
    World world;
    ImportRequest request;
    SECTION("no archive") {
        TextSource source(std::string(3000, 'x'));
        const auto id = world.run(image_import(*world.images, request, source, world.progress));
        REQUIRE_FALSE(id);
        CHECK(id.error().kind() == ErrorKind::invalid_argument);
    }
    SECTION("cut short") {
        TextSource source(archive.substr(0, 600));
        const auto id = world.run(image_import(*world.images, request, source, world.progress));
        REQUIRE_FALSE(id);
        CHECK(id.error().kind() == ErrorKind::invalid_argument);
    }
    SECTION("damaged compressed data") {
        TextSource source(layer_of(archive).blob.substr(0, 40));
        const auto id = world.run(image_import(*world.images, request, source, world.progress));
        REQUIRE_FALSE(id);
        CHECK(id.error().kind() == ErrorKind::invalid_argument);
    }
    SECTION("compressed data that only starts well") {
        TextSource source("BZh91AY&SY" + std::string(100, 'x'));
        const auto id = world.run(image_import(*world.images, request, source, world.progress));
        REQUIRE_FALSE(id);
        CHECK(id.error().kind() == ErrorKind::invalid_argument);
        CHECK(id.error().message().find("bzip2: damaged data") != std::string::npos);
    }
    SECTION("the client goes away") {
        TextSource source(archive.substr(0, 600), true);
        const auto id = world.run(image_import(*world.images, request, source, world.progress));
        REQUIRE_FALSE(id);
        CHECK(id.error().message().find("went away") != std::string::npos);
    }
    SECTION("a change that is none") {
        TextSource source(archive);
        request.changes = {"RUN x"};
        const auto id = world.run(image_import(*world.images, request, source, world.progress));
        REQUIRE_FALSE(id);
        CHECK(id.error().kind() == ErrorKind::invalid_argument);
    }
    SECTION("a digest as name") {
        TextSource source(archive);
        request.reference = must(Reference::parse("x@" + sha256_of("x").str()));
        CHECK_FALSE(world.run(image_import(*world.images, request, source, world.progress)));
    }
    CHECK(world.progress.messages.empty());
    world.check_clean(0);
}
