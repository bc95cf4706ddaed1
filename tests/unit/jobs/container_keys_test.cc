// Goal: a key stands for one request and one container, and creates with one key take turns.
// Method: the classes alone, with records that never ran.
#include "jobs/container_keys.h"

#include "jobs/container/table.h"
#include "reactor/loop.h"
#include "reactor/task_group.h"
#include "reactor/timer.h"
#include "tests/support/catch.h"

namespace davit {

namespace {

std::shared_ptr<Container> keyed(char first, const std::string& key, const std::string& request) {
    ContainerRecord record;
    record.id = *ContainerId::parse(first + std::string(63, '0'));
    record.name = std::string("/") + first;
    record.create_key = CreateKey{key, sha256_of(request), {}};
    return std::make_shared<Container>(std::move(record));
}

std::string chosen(std::string_view header, const char* label) {
    const std::string text = label == nullptr ? "" : label;
    const auto key = container_key_choose(header, label == nullptr ? nullptr : &text);
    return key ? *key : std::string(error_kind_name(key.error().kind()));
}

}  // namespace

TEST_CASE("an idempotency key comes from the header or the label", "[keys]") {
    CHECK(chosen("", nullptr).empty());
    CHECK(chosen("a b", nullptr) == "a b");
    CHECK(chosen("", "b") == "b");
    CHECK(chosen("c", "c") == "c");
    const std::string refused(error_kind_name(ErrorKind::invalid_argument));
    CHECK(chosen("a", "b") == refused);
    CHECK(chosen("", "") == refused);
    CHECK(chosen("a", "") == refused);
    CHECK(chosen("a\n", nullptr) == refused);
    CHECK(chosen("\xC3\xA4", nullptr) == refused);
    CHECK(chosen(std::string(255, 'x'), nullptr).size() == 255);
    CHECK(chosen(std::string(256, 'x'), nullptr) == refused);
}

TEST_CASE("a request is its body, name and platform", "[keys]") {
    const Digest digest = container_key_request("{}", "name", "linux");
    CHECK(container_key_request("{}", "name", "linux") == digest);
    CHECK(container_key_request("{ }", "name", "linux") != digest);
    CHECK(container_key_request("{}", "names", "linux") != digest);
    CHECK(container_key_request("{}", "name", "") != digest);
    CHECK(container_key_request("{}", "", "namelinux") !=
          container_key_request("{}", "name", "linux"));
}

TEST_CASE("a key finds its container until that is gone", "[keys]") {
    ContainerTable table;
    const auto container = keyed('a', "key", "request");
    REQUIRE(table.insert(container));
    const auto found = container_key_find(table, CreateKey{"key", sha256_of("request"), {}});
    REQUIRE(found);
    CHECK(*found == container);
    const auto none = container_key_find(table, CreateKey{"other", sha256_of("request"), {}});
    REQUIRE(none);
    CHECK(*none == nullptr);
    const auto other = container_key_find(table, CreateKey{"key", sha256_of("another"), {}});
    REQUIRE_FALSE(other);
    CHECK(other.error().kind() == ErrorKind::conflict);
    CHECK(other.error().message().find(container->id().str()) != std::string::npos);
    table.erase(container->id());
    CHECK(table.find_key("key") == nullptr);
    REQUIRE(table.insert(keyed('b', "key", "another")));
    CHECK(table.find_key("key")->id().str().front() == 'b');
}

TEST_CASE("creates with one key take turns, those with others do not wait", "[keys]") {
    Loop loop;
    ContainerKeys keys;
    std::string order;
    auto create =
        [](ContainerKeys& all, std::string key, std::string& said, char name) -> Task<void> {
        CO_TRY(const ContainerKeys::Turn turn, co_await all.turn(std::move(key)));
        said += name;
        co_await yield_now();
        co_await yield_now();
        said += static_cast<char>(name - 'a' + 'A');
        co_return ok;
    };
    auto all = [&]() -> Task<void> {
        TaskGroup group;
        group.spawn(create(keys, "one", order, 'a'));
        group.spawn(create(keys, "one", order, 'b'));
        group.spawn(create(keys, "two", order, 'x'));
        group.spawn(create(keys, "one", order, 'c'));
        group.spawn(create(keys, "", order, 'y'));
        co_return co_await group.join();
    };
    REQUIRE(loop.run(all()));
    std::string ones;
    for (const char name : order) {
        if (std::string_view("aAbBcC").find(name) != std::string_view::npos) {
            ones += name;
        }
    }
    CHECK(ones.size() == 6);
    for (std::size_t i = 0; i + 1 < ones.size(); i += 2) {
        CHECK(ones[i] - 'a' == ones[i + 1] - 'A');
    }
    CHECK(order.find('x') < order.find('A'));
    CHECK(order.find('y') < order.find('A'));
}

TEST_CASE("one that is cancelled while it waits gives nothing up", "[keys]") {
    Loop loop;
    ContainerKeys keys;
    auto all = [&]() -> Task<void> {
        CO_TRY(ContainerKeys::Turn first, co_await keys.turn("key"));
        auto wait = [](ContainerKeys& turns) -> Task<void> {
            CO_TRY(const ContainerKeys::Turn turn, co_await turns.turn("key"));
            co_return ok;
        };
        TaskGroup group(GroupPolicy::independent);
        group.spawn(wait(keys));
        co_await yield_now();
        group.cancel();
        static_cast<void>(co_await group.join());
        TaskGroup later;
        later.spawn(wait(keys));
        co_await yield_now();
        first = ContainerKeys::Turn();
        co_return co_await later.join();
    };
    REQUIRE(loop.run(all()));
}

}  // namespace davit
