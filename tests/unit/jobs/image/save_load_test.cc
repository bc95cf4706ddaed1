// Goal: what is saved is both forms at once, the same bytes every time, and loads back into the
// same image; archives of other engines load; bad ones leave nothing. Method: images from archives
// are saved, loaded into another data root, mounted and read; foreign archives are made by hand.
#include "graph/tag_store.h"
#include "http/json_reader.h"
#include "jobs/image/import.h"
#include "jobs/image/layer_reader.h"
#include "jobs/image/load.h"
#include "jobs/image/save.h"
#include "tests/unit/drivers/graph/driver_support.h"
#include "tests/unit/jobs/image/image_support.h"

using namespace davit;
using namespace davit::test;

namespace {

class TextSource final : public LayerSource {
  public:
    explicit TextSource(std::string text) : text_(std::move(text)) {}

    Task<std::size_t> read(std::span<char> buffer) override {
        const std::size_t count =
            text_.copy(buffer.data(), std::min<std::size_t>(buffer.size(), 700), at_);
        at_ += count;
        co_return count;
    }

  private:
    std::string text_;
    std::size_t at_ = 0;
};

Digest import(World& world, const std::string& name, const std::string& archive) {
    TextSource source(archive);
    ImportRequest request;
    request.reference = must(Reference::parse(name));
    request.changes = {"CMD [\"/" + name.substr(0, 1) + "\"]"};
    return must(world.run(image_import(*world.images, request, source, world.progress)));
}

Result<std::string> save(World& world,
                         std::vector<std::string> names,
                         const std::string& platform = "") {
    auto out = std::make_shared<std::string>();
    SaveOutput output = [out](std::string_view bytes) -> Task<void> {
        out->append(bytes);
        co_return ok;
    };
    SaveRequest request;
    request.names = std::move(names);
    if (!platform.empty()) {
        request.platform = must(platform_parse(platform));
    }
    Result<void> saved = world.run(image_save(*world.images, request, output));
    if (!saved) {
        return saved.error();
    }
    return *out;
}

Result<std::vector<LoadedImage>> load(World& world,
                                      const std::string& archive,
                                      bool quiet = false,
                                      const std::string& platform = "") {
    TextSource source(archive);
    world.progress.messages.clear();
    LoadOptions options;
    options.quiet = quiet;
    if (!platform.empty()) {
        options.platform = must(platform_parse(platform));
    }
    return world.run(image_load(*world.images, source, options, world.progress));
}

std::vector<std::string> streams(const World& world) {
    std::vector<std::string> lines;
    for (const ProgressMessage& message : world.progress.messages) {
        if (!message.stream.empty()) {
            lines.push_back(message.stream);
        }
    }
    return lines;
}

/// With a name twice: its layer cannot be made again from the directory alone.
const std::string archive_one =
    ArchiveBuilder().file("a", "first").file("a", "of one").file(".wh.b").build();
const std::string archive_two =
    ArchiveBuilder().directory("d").file("d/x", std::string(100'000, 'x')).build() +
    zero_blocks(18);

std::string config_of(const std::vector<std::string>& layers,
                      const std::string& architecture = "amd64") {
    std::string ids;
    for (const std::string& layer : layers) {
        ids += (ids.empty() ? "\"" : ",\"") + sha256_of(layer).str() + "\"";
    }
    return R"({"architecture":")" + architecture +
           R"(","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[)" + ids + "]}}";
}

std::string archive_of(const std::string& config,
                       const std::string& layers,
                       const std::string& layer) {
    ArchiveBuilder archive;
    archive.file("layer.tar", layer).file("config.json", config);
    archive.file("manifest.json",
                 R"([{"Config":"config.json","RepoTags":["app:1"],"Layers":[)" + layers + "]}]");
    return archive.build();
}

/// Loading it is refused with that kind and text, and leaves nothing.
void check_refused(const std::string& bad, ErrorKind kind, const std::string& text) {
    World world;
    const auto loaded = load(world, bad);
    REQUIRE_FALSE(loaded);
    CAPTURE(loaded.error().message());
    CHECK(loaded.error().kind() == kind);
    CHECK(loaded.error().message().find(text) != std::string::npos);
    CHECK(streams(world).empty());
    world.check_clean(0);
}

}  // namespace

TEST_CASE("saved images load back, byte for byte the same", "[save]") {
    Digest one;
    Digest two;
    std::string saved;
    {
        World world;
        one = import(world, "app:1", archive_one);
        two = import(world, "both:x", archive_two);
        saved = must(save(world, {"app:1", "both:x"}));
        CHECK((must(save(world, {"app:1", "both:x"})) == saved));
        world.check_clean(2);
    }
    World other;
    const auto loaded = load(other, saved);
    REQUIRE(loaded);
    REQUIRE(loaded->size() == 2);
    CHECK(streams(other) ==
          std::vector<std::string>{"Loaded image: app:1\n", "Loaded image: both:x\n"});
    CHECK((*loaded)[0].image == one);
    CHECK((*loaded)[1].image == two);
    CHECK(content(other.root_of(one), "a") == "of one");
    CHECK(content(other.root_of(two), "d/x") == std::string(100'000, 'x'));
    CHECK((must(save(other, {"app:1", "both:x"})) == saved));
    other.check_clean(2);

    // Again, over what is there: nothing changes.
    REQUIRE(load(other, saved));
    other.check_clean(2);
}

TEST_CASE("what an archive of saved images holds", "[save]") {
    World world;
    const Digest id = import(world, "app:1", archive_one);
    import(world, "app:2", archive_one);
    const Parsed parsed = parse_all(must(save(world, {"app"})));
    REQUIRE(parsed.error_text() == "");
    std::string before;
    std::size_t layers = 0;
    for (const ParsedEntry& entry : parsed.entries) {
        CHECK(before < entry.entry.path);
        before = entry.entry.path;
        CHECK(entry.entry.mtime == TarTime{});
        if (entry.entry.path.size() > 70) {
            CHECK(entry.entry.path ==
                  "blobs/sha256/" + std::string(sha256_of(entry.content).hex()));
            layers += entry.content == archive_one ? 1 : 0;
        }
    }
    CHECK(layers == 1);  // Shared by both.
    const JsonDocument manifest = must(JsonDocument::parse(parsed.at("manifest.json").content));
    const auto images = must(manifest.root().as_array());
    CHECK(images.size() == 2);  // They were imported at different times.
    CHECK(must(images[0].strings("RepoTags")) == std::vector<std::string>{"app:1"});
    CHECK(must(images[0].string_or("Config", "")) == "blobs/sha256/" + std::string(id.hex()));
    const JsonDocument index = must(JsonDocument::parse(parsed.at("index.json").content));
    const auto manifests = must(must(index.root().array("manifests")).as_array());
    REQUIRE(manifests.size() == 2);
    CHECK(
        must(must(manifests[1].object("annotations")).string_or("io.containerd.image.name", "")) ==
        "docker.io/library/app:2");
    CHECK(parsed.at("oci-layout").content == R"({"imageLayoutVersion":"1.0.0"})");

    // By id there is no name.
    const Parsed nameless = parse_all(must(save(world, {id.str()})));
    CHECK(nameless.at("manifest.json").content.find("\"RepoTags\":null") != std::string::npos);
    CHECK(save(world, {"app:1", "missing"}).error().kind() == ErrorKind::not_found);
    CHECK(save(world, {"app:1", "missing"}).error().message() == "No such image: missing:latest");
}

TEST_CASE("layers can be read compressed, the same each time", "[save]") {
    World world;
    const Digest id = import(world, "app:1", archive_two);
    const auto layer_of_image = [&](Compression compression) {
        const std::vector<Digest> diff_ids{sha256_of(archive_two)};
        LayersHeld held = must(world.run(layers_hold(*world.images, layer_places(diff_ids))));
        auto reader = must(LayerReader::open(*world.images, held.layers[0], compression));
        std::string bytes;
        for (;;) {
            std::vector<char> buffer(10'000);
            const std::size_t got = must(world.run(reader->read(buffer)));
            if (got == 0) {
                break;
            }
            bytes.append(buffer.data(), got);
        }
        CHECK(reader->archive_bytes() == archive_two.size());
        REQUIRE(world.run(layers_give_back(*world.images, std::move(held))));
        return bytes;
    };
    CHECK((layer_of_image(Compression::none) == archive_two));
    for (const Compression compression : {Compression::gzip, Compression::zstd}) {
        const std::string packed = layer_of_image(compression);
        CHECK(packed.size() < archive_two.size() / 2);
        CHECK((inflate_all(packed).bytes == archive_two));
        CHECK((layer_of_image(compression) == packed));
    }
    world.check_clean(1);
}

TEST_CASE("a layer that was changed on disk is not saved", "[save]") {
    World world;
    import(world, "app:1", archive_two);
    const std::string layers = world.directory.path() + "/overlay/layers/";
    for (const std::string& name : names_in(layers)) {
        REQUIRE(file_replace(AT_FDCWD, layers + name + "/diff/d/x", std::string(100'000, 'y')));
    }
    const auto saved = save(world, {"app:1"});
    REQUIRE_FALSE(saved);
    CHECK(saved.error().kind() == ErrorKind::corrupt);
    CHECK(saved.error().message().find(sha256_of(archive_two).str()) != std::string::npos);
    world.check_clean(1);
}

TEST_CASE("archives in Docker's old form, in any order, compressed or not", "[load]") {
    const std::string config = config_of({archive_one, archive_two, archive_one});
    const auto build = [&](bool layers_first) {
        ArchiveBuilder layers;
        layers.directory("1").file("1/VERSION", "1.0").file("1/layer.tar", archive_one);
        layers.directory("2").file("2/layer.tar", layer_of(archive_two, Compression::xz).blob);
        layers.directory("3").symlink("3/layer.tar", "../1/layer.tar");
        ArchiveBuilder documents;
        documents.file("config.json", config);
        documents.file("manifest.json",
                       R"([{"Config":"config.json","RepoTags":["app:1","app:2"],)"
                       R"("Layers":["1/layer.tar","2/layer.tar","3/layer.tar"]}])");
        const std::string first = layers_first ? layers.build() : documents.build();
        const std::string second = layers_first ? documents.build() : layers.build();
        return first.substr(0, first.size() - 2 * tar_block_bytes) + second;
    };
    for (const bool layers_first : {true, false}) {
        for (const Compression compression : {Compression::none,
                                              Compression::gzip,
                                              Compression::zstd,
                                              Compression::bzip2,
                                              Compression::xz}) {
            World world;
            const auto loaded = load(world, layer_of(build(layers_first), compression).blob);
            INFO((loaded ? "" : loaded.error().message()));
            REQUIRE(loaded);
            CHECK((*loaded)[0].image == sha256_of(config));
            CHECK(streams(world) ==
                  std::vector<std::string>{"Loaded image: app:1\n", "Loaded image: app:2\n"});
            CHECK(world.progress.said("Loading layer", "1"));
            CHECK(content(world.root_of(sha256_of(config)), "a") == "of one");
            world.check_clean(2);
        }
    }
    World world;
    REQUIRE(load(world, build(true), true));
    CHECK_FALSE(world.progress.said("Loading layer", "1"));
}

TEST_CASE("of an archive only what is for a platform", "[load]") {
    const std::string amd = config_of({archive_one});
    const std::string arm = config_of({archive_two}, "arm64");
    ArchiveBuilder archive;
    archive.file("amd.json", amd).file("arm.json", arm);
    archive.directory("1").file("1/layer.tar", archive_one);
    archive.directory("2").file("2/layer.tar", archive_two);
    archive.file("manifest.json",
                 R"([{"Config":"amd.json","RepoTags":["amd:1"],"Layers":["1/layer.tar"]},)"
                 R"({"Config":"arm.json","RepoTags":["arm:1"],"Layers":["2/layer.tar"]}])");
    const std::string bytes = archive.build();
    World world;
    const auto loaded = load(world, bytes, false, "linux/arm64");
    INFO((loaded ? "" : loaded.error().message()));
    REQUIRE(loaded);
    REQUIRE(loaded->size() == 1);
    CHECK(loaded->front().image == sha256_of(arm));
    CHECK(streams(world) == std::vector<std::string>{"Loaded image: arm:1\n"});
    world.check_clean(1);
    const auto none = load(world, bytes, false, "linux/s390x");
    REQUIRE_FALSE(none);
    CHECK(none.error().kind() == ErrorKind::not_found);
    CHECK(none.error().message() ==
          "requested platform (linux/s390x) not found: image might be filtered out");
    world.check_clean(1);
    CHECK(save(world, {"arm:1"}, "linux/arm64"));
    const auto other = save(world, {"arm:1"}, "linux/amd64");
    REQUIRE_FALSE(other);
    CHECK(other.error().message() ==
          "image with reference arm:1 was found but does not match the specified platform: wanted "
          "linux/amd64, actual: linux/arm64");
}

TEST_CASE("of an index in an archive the platform asked for", "[load]") {
    ArchiveBuilder archive;
    const auto blob = [&archive](const std::string& text) {
        archive.file("blobs/sha256/" + std::string(sha256_of(text).hex()), text);
        return "\"digest\":\"" + sha256_of(text).str() +
               "\",\"size\":" + std::to_string(text.size());
    };
    const auto entry = [&](const std::string& layer, const std::string& architecture) {
        const std::string manifest =
            R"({"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json",)" +
            blob(config_of({layer}, architecture)) +
            R"(},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar",)" + blob(layer) +
            "}]}";
        return R"({"mediaType":"application/vnd.oci.image.manifest.v1+json",)" + blob(manifest) +
               R"(,"platform":{"os":"linux","architecture":")" + architecture + R"("}})";
    };
    const std::string inner = R"({"schemaVersion":2,"manifests":[)" + entry(archive_one, "amd64") +
                              "," + entry(archive_two, "s390x") + "]}";
    archive.file(
        "index.json",
        R"({"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.index.v1+json",)" +
            blob(inner) + R"(,"annotations":{"org.opencontainers.image.ref.name":"app:1"}}]})");
    archive.file("oci-layout", R"({"imageLayoutVersion":"1.0.0"})");
    const std::string bytes = archive.build();
    World world;
    const auto loaded = load(world, bytes, false, "linux/s390x");
    INFO((loaded ? "" : loaded.error().message()));
    REQUIRE(loaded);
    CHECK(loaded->front().image == sha256_of(config_of({archive_two}, "s390x")));
    CHECK(load(world, bytes, false, "linux/riscv64").error().kind() == ErrorKind::not_found);
    world.check_clean(1);
}

TEST_CASE("an OCI layout, with compressed layers and an index in the index", "[load]") {
    const FakeLayer layer = layer_of(archive_one, Compression::gzip);
    const std::string config = config_of({archive_one});
    ArchiveBuilder archive;
    const auto blob = [&archive](const std::string& text) {
        archive.file("blobs/sha256/" + std::string(sha256_of(text).hex()), text);
        return "\"digest\":\"" + sha256_of(text).str() +
               "\",\"size\":" + std::to_string(text.size());
    };
    const std::string manifest =
        R"({"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json",)" +
        blob(config) +
        R"(},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip",)" +
        blob(layer.blob) + "}]}";
    const std::string platform = platform_host().architecture;
    const std::string inner =
        R"({"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json",)" +
        blob(manifest) + R"(,"platform":{"os":"linux","architecture":")" + platform + R"("}}]})";
    const std::string name = GENERATE(std::string("quay.io/team/app:7"), std::string("latest"));
    archive.file(
        "index.json",
        R"({"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.index.v1+json",)" +
            blob(inner) + R"(,"annotations":{"org.opencontainers.image.ref.name":")" + name +
            "\"}}]}");
    archive.file("oci-layout", R"({"imageLayoutVersion":"1.0.0"})");
    World world;
    const auto loaded = load(world, archive.build());
    INFO((loaded ? "" : loaded.error().message()));
    REQUIRE(loaded);
    const std::string id = sha256_of(config).str();
    CHECK(streams(world) == std::vector<std::string>{name == "latest"
                                                         ? "Loaded image ID: " + id + "\n"
                                                         : "Loaded image: " + name + "\n"});
    CHECK(content(world.root_of(sha256_of(config)), "a") == "of one");
    world.check_clean(1);
}

TEST_CASE("what cannot be loaded leaves nothing", "[load]") {
    const std::string config = config_of({archive_one});
    const std::string good = archive_of(config, "\"layer.tar\"", archive_one);
    std::string bad;
    std::string text;
    ErrorKind kind = ErrorKind::invalid_argument;
    SECTION("no archive") {
        bad = std::string(5000, 'x');
    }
    SECTION("nothing") {
        bad = zero_blocks(2);
        text = "neither a manifest.json nor an index.json";
    }
    SECTION("cut short in a layer") {
        bad = good.substr(0, 900);
    }
    SECTION("cut short behind the layer") {
        bad = good.substr(0, good.size() - 2000);
    }
    SECTION("a config that is none") {
        bad = archive_of("{}", "\"layer.tar\"", archive_one);
    }
    SECTION("a name that is none") {
        bad = good;
        bad.replace(bad.find("app:1"), 5, "APP:1");
    }
    SECTION("the form before 1.10") {
        bad = ArchiveBuilder().file("repositories", "{}").build();
        kind = ErrorKind::unsupported;
    }
    SECTION("compressed data that only starts well") {
        bad = "BZh91AY&SY" + std::string(100, 'x');
        text = "bzip2: damaged data";
    }
    SECTION("compressed data cut short") {
        const std::string packed = deflate_all(good, Compression::xz);
        bad = packed.substr(0, packed.size() - 20);
        text = "xz: unexpected end of the data";
    }
    check_refused(bad, kind, text);
}

TEST_CASE("an archive with a bad layer leaves nothing", "[load]") {
    const std::string config = config_of({archive_one});
    std::string bad;
    std::string text;
    SECTION("another layer") {
        bad = archive_of(config, "\"layer.tar\"", archive_two);
        text = "invalid diffID for layer 0: expected \"" + sha256_of(archive_one).str();
    }
    SECTION("a layer that is none") {
        bad = archive_of(config, "\"layer.tar\"", archive_one.substr(0, 1024 + 100));
    }
    SECTION("a layer whose first header is bad") {
        RawHeader raw;
        raw.size = "0000000000x";
        bad = archive_of(config, "\"layer.tar\"", raw_block(raw) + zero_blocks());
        text = "bad size";
    }
    SECTION("a layer that climbs out") {
        bad = archive_of(config, "\"layer.tar\"", ArchiveBuilder().file("../x").build());
        text = "layer layer.tar";
    }
    SECTION("a layer too few") {
        bad = archive_of(config, "", archive_one);
        text = "layers length mismatch: expected 1, got 0";
    }
    SECTION("a layer that is not there") {
        bad = archive_of(config, "\"other.tar\"", archive_one);
        text = "other.tar is not there";
    }
    SECTION("a blob that is not what its name says") {
        ArchiveBuilder archive;
        const std::string path = "blobs/sha256/" + std::string(sha256_of(archive_two).hex());
        archive.file(path, archive_one).file("config.json", config);
        archive.file("manifest.json",
                     R"([{"Config":"config.json","RepoTags":null,"Layers":[")" + path + "\"]}]");
        bad = archive.build();
        text = "verification failed";
    }
    check_refused(bad, ErrorKind::invalid_argument, text);
}
