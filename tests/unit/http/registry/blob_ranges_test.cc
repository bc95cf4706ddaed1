// Goal: a blob that is fetched in pieces comes out whole and in order, or an error does, whatever
// the registry does to some of the pieces. Method: scripted registries; small pieces of a blob in
// which each byte tells its place.
#include "http/registry/blob_ranges.h"

#include <algorithm>
#include <limits>
#include <set>

#include "reactor/timer.h"
#include "tests/support/catch.h"
#include "tests/unit/http/registry/fake_registry.h"

using namespace davit;
using namespace davit::test;

namespace {

constexpr std::size_t piece_bytes = 1000;
constexpr std::size_t pieces_max = 3;

std::string pattern(std::size_t bytes) {
    std::string text;
    while (text.size() < bytes) {
        text += std::to_string(text.size()) + ",";
    }
    return text.substr(0, bytes);
}

const std::string content = pattern(9'500);

struct Asked {
    std::size_t begin = 0;
    std::size_t end = 0;
};

/// The range of a request; nothing if it asks for all.
std::optional<Asked> asked(const FakeRequest& request) {
    const std::string range(request.headers.get("Range"));
    if (range.empty()) {
        return std::nullopt;
    }
    const std::string last = range.substr(range.find('-') + 1);
    return Asked{std::stoul(range.substr(6)), last.empty() ? content.size() : std::stoul(last) + 1};
}

FakeReply honest(const FakeRequest& request) {
    const std::optional<Asked> part = asked(request);
    if (!part) {
        return FakeReply::of(200, content);
    }
    return FakeReply::of(206, content.substr(part->begin, part->end - part->begin))
        .with("Content-Range",
              "bytes " + std::to_string(part->begin) + "-" + std::to_string(part->end - 1) + "/" +
                  std::to_string(content.size()));
}

Task<std::string> read_all(BlobRanges& ranges, std::size_t buffer_bytes) {
    std::string all;
    std::vector<char> buffer(buffer_bytes);
    for (;;) {
        CO_TRY(const std::size_t got, co_await ranges.read(buffer));
        if (got == 0) {
            co_return std::move(all);
        }
        all.append(buffer.data(), got);
    }
}

BlobDescriptor descriptor(std::size_t bytes = content.size()) {
    BlobDescriptor blob;
    blob.digest = sha256_of(content.substr(0, bytes));
    blob.bytes = bytes;
    return blob;
}

/// What a connection must bring in a second to be fast: nothing, or what none does.
constexpr std::uint64_t any_rate = 0;
constexpr std::uint64_t no_rate = std::numeric_limits<std::uint64_t>::max();

/// Nothing stalls here: a slow machine must not look like it, since requests are counted.
RegistryOptions patient_options() {
    RegistryOptions options = fast_options();
    options.http.stall_timeout = std::chrono::minutes(1);
    return options;
}

struct World {
    explicit World(FakeRegistry::Script script,
                   BlobDescriptor blob = descriptor(),
                   std::uint64_t fast = no_rate)
        : registry(std::move(script)),
          repository(repository_of(client, registry)),
          ranges(repository, std::move(blob), BlobRangesOptions{piece_bytes, pieces_max, fast}) {}

    template <typename T>
    Result<T> run(Task<T> task) {
        auto all = [](BlobRanges& fetched, Task<T> inner) -> Task<T> {
            Result<T> result = co_await std::move(inner);
            static_cast<void>(co_await fetched.close());
            co_return std::move(result);
        };
        return run_beside(loop, {&registry}, all(ranges, std::move(task)));
    }

    Result<std::string> fetch(std::size_t buffer_bytes = 700) {
        return run(read_all(ranges, buffer_bytes));
    }

    Loop loop;
    FakeRegistry registry;
    RegistryClient client{patient_options()};
    RegistryRepository repository;
    BlobRanges ranges;
};

}  // namespace

TEST_CASE("ranges: each piece is asked for once, and all come in order", "[ranges]") {
    for (const std::size_t buffer : {std::size_t{1}, std::size_t{700}, std::size_t{20'000}}) {
        CAPTURE(buffer);
        World world(honest);
        const auto bytes = world.fetch(buffer);
        INFO((bytes ? "" : bytes.error().message()));
        REQUIRE(bytes);
        CHECK(*bytes == content);
        CHECK(world.ranges.resumed());
        std::set<std::string> asked_for;
        for (const FakeRequest& request : world.registry.requests) {
            asked_for.emplace(request.headers.get("Range"));
        }
        CHECK(world.registry.requests.size() == 10);
        CHECK(asked_for.size() == 10);
        CHECK(world.registry.requests[0].headers.get("Range") == "bytes=0-999");
        CHECK(asked_for.contains("bytes=9000-"));
    }
}

TEST_CASE("ranges: several at a time, and no more than there are buffers", "[ranges]") {
    World world(honest);
    auto steps = [](World& there) -> Task<void> {
        const auto take = [&there](std::size_t bytes) -> Task<void> {
            std::vector<char> buffer(bytes);
            for (std::size_t left = bytes; left > 0;) {
                CO_TRY(const std::size_t got,
                       co_await there.ranges.read(std::span(buffer).first(left)));
                left -= got;
            }
            co_return ok;
        };
        const auto requests = [&there](std::size_t count) -> Task<void> {
            while (there.registry.requests.size() < count) {
                co_await yield_now();
            }
            co_return ok;
        };
        CO_CHECK(co_await take(piece_bytes));
        CHECK(there.registry.requests.size() == 1);
        CO_CHECK(co_await take(1));
        CO_CHECK(co_await requests(1 + pieces_max));
        CO_CHECK(co_await take(499));
        CHECK(there.registry.requests.size() == 1 + pieces_max);
        CO_CHECK(co_await take(500));  // One buffer is free.
        CO_CHECK(co_await requests(2 + pieces_max));
        CO_CHECK(co_await take(1));
        CHECK(there.registry.requests.size() == 2 + pieces_max);
        co_return ok;
    };
    REQUIRE(world.run(steps(world)));  // It is closed in the middle.
}

TEST_CASE("ranges: what one connection brings fast comes by one", "[ranges]") {
    World world(honest, descriptor(), any_rate);
    const auto bytes = world.fetch();
    REQUIRE(bytes);
    CHECK(*bytes == content);
    REQUIRE(world.registry.requests.size() == 2);
    CHECK(world.registry.requests[1].headers.get("Range") == "bytes=1000-");
    CHECK(world.ranges.resumed());
}

TEST_CASE("ranges: a registry that knows none is asked once", "[ranges]") {
    World world([](const FakeRequest&) { return FakeReply::of(200, content); });
    const auto bytes = world.fetch();
    REQUIRE(bytes);
    CHECK(*bytes == content);
    CHECK(world.registry.requests.size() == 1);
    CHECK_FALSE(world.ranges.resumed());
}

TEST_CASE("ranges: a blob of one piece is asked for as a whole", "[ranges]") {
    World world([](const FakeRequest&) { return FakeReply::of(200, content.substr(0, 900)); },
                descriptor(900));
    const auto bytes = world.fetch();
    REQUIRE(bytes);
    CHECK(*bytes == content.substr(0, 900));
    REQUIRE(world.registry.requests.size() == 1);
    CHECK_FALSE(world.registry.requests[0].headers.contains("Range"));
}

TEST_CASE("ranges: a piece that breaks off goes on where it stopped", "[ranges]") {
    for (const std::size_t broken : {0, 2, 9}) {
        CAPTURE(broken);
        bool cut = true;
        World world([&cut, broken](const FakeRequest& request) {
            FakeReply reply = honest(request);
            if (asked(request)->begin == broken * piece_bytes && std::exchange(cut, false)) {
                reply.cut = 123;
            }
            return reply;
        });
        const auto bytes = world.fetch();
        REQUIRE(bytes);
        CHECK(*bytes == content);
        const std::string again = "bytes=" + std::to_string(broken * piece_bytes + 123) + "-" +
                                  (broken == 9 ? "" : std::to_string((broken + 1) * 1000 - 1));
        const auto is_again = [&again](const FakeRequest& request) {
            return request.headers.get("Range") == again;
        };
        CHECK(std::ranges::count_if(world.registry.requests, is_again) == 1);
    }
}

TEST_CASE("ranges: a registry that knows them no longer sends the rest in one", "[ranges]") {
    for (const int status : {200, 416}) {
        for (const std::size_t from : {piece_bytes, 5 * piece_bytes}) {
            CAPTURE(status, from);
            World world([=](const FakeRequest& request) {
                const std::optional<Asked> part = asked(request);
                if (!part || part->begin < from) {
                    return honest(request);
                }
                return status == 200 ? FakeReply::of(200, content) : FakeReply::of(416);
            });
            const auto bytes = world.fetch();
            INFO((bytes ? "" : bytes.error().message()));
            REQUIRE(bytes);
            CHECK(*bytes == content);
        }
    }
}

TEST_CASE("ranges: what fails for good is an error", "[ranges]") {
    for (const std::size_t broken : {0, 1, 6, 9}) {
        CAPTURE(broken);
        World world([broken](const FakeRequest& request) {
            return asked(request)->begin == broken * piece_bytes ? FakeReply::of(404)
                                                                 : honest(request);
        });
        const auto bytes = world.fetch();
        REQUIRE_FALSE(bytes);
        CHECK(bytes.error().kind() == ErrorKind::not_found);
    }
}

TEST_CASE("ranges: a piece with more than was asked for is refused", "[ranges]") {
    for (const std::size_t broken : {0, 3}) {
        CAPTURE(broken);
        World world([broken](const FakeRequest& request) {
            FakeReply reply = honest(request);
            if (asked(request)->begin == broken * piece_bytes) {
                reply.body += "x";
            }
            return reply;
        });
        const auto bytes = world.fetch();
        REQUIRE_FALSE(bytes);
        CHECK(bytes.error().kind() == ErrorKind::corrupt);
    }
}
