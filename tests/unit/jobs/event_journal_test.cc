// Goal: events outlive the bus that they were published on, in order and each once, whatever
// happened to the last line. Method: buses one after the other on one directory.
#include "jobs/event_journal.h"

#include <fcntl.h>
#include <unistd.h>

#include "tests/support/catch.h"
#include "tests/unit/graph/db/temp_dir.h"

using namespace davit;
using namespace davit::test;

namespace {

void publish(EventBus& bus, const std::string& id, std::string label = "v") {
    bus.publish("container", "start", id, {{"label", std::move(label)}});
}

/// The ids of all events of a bus.
std::vector<std::string> ids(const EventBus& bus) {
    std::vector<std::string> all;
    for (std::uint64_t at = bus.sequence_since(WallTime{}); at < bus.next_sequence(); ++at) {
        const auto event = bus.find(at);
        REQUIRE(event);
        all.push_back((*event)->actor_id);
    }
    return all;
}

using Ids = std::vector<std::string>;

}  // namespace

TEST_CASE("events outlive their bus", "[events]") {
    const TempDir temp;
    WallTime time;
    {
        EventBus bus;
        REQUIRE(bus.keep_in(temp.path()));
        publish(bus, "one", "two\nlines \"quoted\"");
        publish(bus, "two");
        time = (*bus.find(1))->time;
    }
    EventBus bus;
    REQUIRE(bus.keep_in(temp.path()));
    CHECK(ids(bus) == Ids{"one", "two"});
    const Event& first = **bus.find(1);
    CHECK(first.type == "container");
    CHECK(first.action == "start");
    CHECK(first.time == time);
    CHECK(first.attribute("label") == "two\nlines \"quoted\"");
    publish(bus, "three");
    EventBus third;
    REQUIRE(third.keep_in(temp.path()));
    CHECK(ids(third) == Ids{"one", "two", "three"});
    CHECK(third.next_sequence() == 4);
}

TEST_CASE("a line that was cut off is left out, and the next one is whole", "[events]") {
    const TempDir temp;
    const std::string path = temp.path() + "/events";
    {
        EventBus bus;
        REQUIRE(bus.keep_in(temp.path()));
        publish(bus, "one");
        publish(bus, "cut");
    }
    const auto text = file_read(path);
    REQUIRE(text);
    REQUIRE(::truncate(path.c_str(), static_cast<off_t>(text->size() - 5)) == 0);
    EventBus bus;
    REQUIRE(bus.keep_in(temp.path()));
    CHECK(ids(bus) == Ids{"one"});
    publish(bus, "two");
    EventBus next;
    REQUIRE(next.keep_in(temp.path()));
    CHECK(ids(next) == Ids{"one", "two"});
}

TEST_CASE("the files of events stay small, and the last ones are in them", "[events]") {
    const TempDir temp;
    const std::string label(32 * 1024, 'x');
    const std::size_t count = 5 * EventJournal::file_bytes_max / label.size();
    EventBus bus;
    REQUIRE(bus.keep_in(temp.path()));
    for (std::size_t i = 0; i < count; ++i) {
        publish(bus, std::to_string(i), label);
    }
    EventBus next;
    REQUIRE(next.keep_in(temp.path()));
    const Ids kept = ids(next);
    REQUIRE_FALSE(kept.empty());
    CHECK(kept.back() == std::to_string(count - 1));
    CHECK(kept.size() * label.size() >= EventJournal::file_bytes_max);
    CHECK(kept.size() * label.size() < 3 * EventJournal::file_bytes_max);
    CHECK(kept.front() == std::to_string(count - kept.size()));
}
