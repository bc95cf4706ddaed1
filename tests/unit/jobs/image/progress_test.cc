// Goal: clients read our progress as they read Docker's. Method: the texts that Docker's own code
// gives for the same values.
#include "jobs/image/progress.h"

#include "reactor/loop.h"
#include "tests/support/catch.h"

using namespace davit;

namespace {

ProgressMessage message_of(std::string id, std::string status) {
    ProgressMessage message;
    message.id = std::move(id);
    message.status = std::move(status);
    return message;
}

ProgressMessage count_of(std::string id, std::string status, std::uint64_t current) {
    ProgressMessage message = message_of(std::move(id), std::move(status));
    message.count = ProgressCount{current, 100};
    return message;
}

std::vector<ProgressMessage> drain(Loop& loop, ProgressQueue& queue) {
    std::vector<ProgressMessage> messages;
    for (;;) {
        auto next = loop.run(queue.next());
        REQUIRE(next);
        if (!*next) {
            return messages;
        }
        messages.push_back(**next);
    }
}

}  // namespace

TEST_CASE("sizes as people read them", "[progress]") {
    CHECK(human_size(0) == "0B");
    CHECK(human_size(999) == "999B");
    CHECK(human_size(1000) == "1kB");
    CHECK(human_size(1024) == "1.024kB");
    CHECK(human_size(3'408'729) == "3.409MB");
    CHECK(human_size(123'456'789'012) == "123.5GB");
}

TEST_CASE("the bar", "[progress]") {
    CHECK(progress_bar({0, 0}).empty());
    CHECK(progress_bar({1024, 0}) == " 1.024kB");
    CHECK(progress_bar({20, 100}) ==
          "[==========>                                        ]      20B/100B");
    CHECK(progress_bar({100, 100}) ==
          "[==================================================>]     100B/100B");
    CHECK(progress_bar({150, 100}) ==
          "[==================================================>]     150B");
}

TEST_CASE("messages as JSON", "[progress]") {
    CHECK(progress_json(message_of("latest", "Pulling from library/alpine")) ==
          R"({"status":"Pulling from library/alpine","id":"latest"})");
    CHECK(progress_json(message_of("", "Digest: sha256:00")) ==
          R"({"status":"Digest: sha256:00"})");
    ProgressMessage step = message_of("abc", "Pull complete");
    step.step = true;
    CHECK(progress_json(step) == R"({"status":"Pull complete","progressDetail":{},"id":"abc"})");
    CHECK(progress_json(count_of("abc", "Downloading", 20)) ==
          R"({"status":"Downloading","progressDetail":{"current":20,"total":100},)"
          R"("progress":"[==========>                                        ]      20B/100B",)"
          R"("id":"abc"})");
    CHECK(progress_error_json("no \"such\"") ==
          R"({"errorDetail":{"message":"no \"such\""},"error":"no \"such\""})");
    CHECK(progress_error_json("x", 7) == R"({"errorDetail":{"code":7,"message":"x"},"error":"x"})");
}

TEST_CASE("a slow reader gets the newest count, and every step", "[progress]") {
    Loop loop;
    ProgressQueue queue;
    queue.update(count_of("a", "Downloading", 1));
    queue.update(count_of("b", "Downloading", 2));
    queue.update(count_of("a", "Downloading", 3));
    queue.update(message_of("a", "Download complete"));
    queue.update(count_of("a", "Extracting", 4));
    queue.update(count_of("a", "Extracting", 5));
    queue.update(count_of("a", "Downloading", 6));
    CHECK(queue.size() == 5);
    queue.close();
    queue.update(message_of("a", "after the end"));
    const auto messages = drain(loop, queue);
    REQUIRE(messages.size() == 5);
    CHECK(messages[0].count->current == 3);
    CHECK(messages[1].id == "b");
    CHECK(messages[2].status == "Download complete");
    CHECK(messages[3].count->current == 5);
    CHECK(messages[4].count->current == 6);
}
