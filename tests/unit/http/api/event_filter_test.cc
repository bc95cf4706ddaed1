// Goal: a reader of events gets what Docker's would give it, for every key Docker knows.
// Method: one event of each kind against one filter each, with near misses.
#include "http/api/event_filter.h"

#include "tests/support/catch.h"

using namespace davit;

namespace {

const std::string image_id = "sha256:" + std::string(64, 'a');

Event container_event(std::string action) {
    Event event;
    event.type = "container";
    event.action = std::move(action);
    event.actor_id = "abc" + std::string(61, '0');
    event.attributes = {{"image", "alpine:3.20"}, {"name", "web-1"}, {"tier", "front"}};
    return event;
}

Event image_event(std::string action, std::string actor, std::string name) {
    Event event;
    event.type = "image";
    event.action = std::move(action);
    event.actor_id = std::move(actor);
    event.attributes = {{"name", std::move(name)}, {"vendor", "us"}};
    return event;
}

Event network_event() {
    Event event;
    event.type = "network";
    event.action = "connect";
    event.actor_id = "def";
    event.attributes = {{"container", "abc"}, {"name", "front"}, {"type", "bridge"}};
    return event;
}

bool admits(std::string_view json, const Event& event) {
    const auto filter = EventFilter::parse(json);
    REQUIRE(filter);
    return filter->admits(event);
}

}  // namespace

TEST_CASE("every key that Docker knows is taken, others are refused", "[events]") {
    for (const std::string key : {"container",
                                  "daemon",
                                  "event",
                                  "image",
                                  "label",
                                  "network",
                                  "node",
                                  "plugin",
                                  "scope",
                                  "secret",
                                  "service",
                                  "config",
                                  "type",
                                  "volume"}) {
        CAPTURE(key);
        const std::string json = R"({")" + key + R"(":["no such thing"]})";
        CHECK_FALSE(admits(json, container_event("start")));
        CHECK_FALSE(admits(json, image_event("tag", image_id, "alpine:3.20")));
        CHECK_FALSE(admits(json, network_event()));
    }
    const auto refused = EventFilter::parse(R"({"colour":["red"]})");
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind() == ErrorKind::invalid_argument);
    CHECK(admits("", container_event("start")));
}

TEST_CASE("an actor is found by the beginning of its id or name", "[events]") {
    const Event event = container_event("start");
    CHECK(admits(R"({"container":["abc0"]})", event));
    CHECK(admits(R"({"container":["web-1"]})", event));
    CHECK(admits(R"({"container":["web"]})", event));
    CHECK(admits(R"({"container":["other","web-1"]})", event));
    CHECK_FALSE(admits(R"({"container":["eb-1"]})", event));
    CHECK_FALSE(admits(R"({"container":["web-11"]})", event));
    CHECK(admits(R"({"network":["front"]})", network_event()));
    CHECK_FALSE(admits(R"({"container":["front"]})", network_event()));
    CHECK_FALSE(admits(R"({"volume":["web-1"]})", event));
    CHECK_FALSE(admits(R"({"container":["web-1"],"network":["front"]})", event));
}

TEST_CASE("an image filter finds images and the containers made from them", "[events]") {
    const Event container = container_event("start");
    CHECK(admits(R"({"image":["alpine:3.20"]})", container));
    CHECK(admits(R"({"image":["alpine"]})", container));
    CHECK_FALSE(admits(R"({"image":["web-1"]})", container));
    CHECK_FALSE(admits(R"({"image":["alp"]})", container));
    CHECK_FALSE(admits(R"({"image":["alpine:3.21"]})", container));

    const Event tag = image_event("tag", image_id, "alpine:3.20");
    CHECK(admits(R"({"image":["alpine:3.20"]})", tag));
    CHECK(admits(R"({"image":["alpine"]})", tag));
    CHECK(admits(R"({"image":[")" + image_id + R"("]})", tag));
    const Event pull = image_event("pull", "localhost:5000/a/b:1", "localhost:5000/a/b");
    CHECK(admits(R"({"image":["localhost:5000/a/b:1"]})", pull));
    CHECK(admits(R"({"image":["localhost:5000/a/b"]})", pull));
    CHECK_FALSE(admits(R"({"image":["localhost"]})", pull));
    CHECK_FALSE(admits(R"({"image":["front"]})", network_event()));
}

TEST_CASE("an action with a detail is also found by its bare name", "[events]") {
    const Event exec = container_event("exec_create: sh -c true");
    CHECK(admits(R"({"event":["exec_create"]})", exec));
    CHECK(admits(R"({"event":["exec_create: sh -c true"]})", exec));
    CHECK_FALSE(admits(R"({"event":["exec"]})", exec));
    CHECK_FALSE(admits(R"({"event":["exec_start"]})", exec));
    CHECK(admits(R"({"event":["health_status"]})", container_event("health_status: healthy")));
    CHECK(admits(R"({"event":["health_status: healthy"]})",
                 container_event("health_status: healthy")));
    CHECK_FALSE(admits(R"({"event":["health_status: healthy"]})",
                       container_event("health_status: unhealthy")));
    CHECK_FALSE(admits(R"({"event":["st"]})", container_event("start")));
    CHECK(admits(R"({"event":["start","die"]})", container_event("die")));
}

TEST_CASE("type, scope and labels", "[events]") {
    const Event event = container_event("start");
    CHECK(admits(R"({"type":["image","container"]})", event));
    CHECK_FALSE(admits(R"({"type":["image"]})", event));
    CHECK(admits(R"({"scope":["local"]})", event));
    CHECK_FALSE(admits(R"({"scope":["swarm"]})", event));
    CHECK(admits(R"({"label":["tier"]})", event));
    CHECK(admits(R"({"label":["tier=front","name"]})", event));
    CHECK_FALSE(admits(R"({"label":["tier=back"]})", event));
    CHECK_FALSE(admits(R"({"label":["tier=front","absent"]})", event));
    CHECK_FALSE(admits(R"({"label":["tier="]})", event));
    CHECK(admits(R"({"label":["vendor=us"]})", image_event("tag", image_id, "x")));
}
