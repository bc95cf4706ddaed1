// Goal: jobs can be listed and cancelled, events stay bounded, and a container's output reaches
// every reader without one holding up the others' end. Method: the classes alone, in a loop.
#include <fcntl.h>
#include <unistd.h>

#include "drivers/log/log_files.h"
#include "jobs/container/output_hub.h"
#include "jobs/engine.h"
#include "jobs/event_bus.h"
#include "reactor/base/limits.h"
#include "reactor/base/tree_remove.h"
#include "reactor/loop.h"
#include "reactor/task_group.h"
#include "reactor/timer.h"
#include "tests/support/catch.h"

namespace davit {

namespace {

Task<void> waits_for_ever(Job& job) {
    job.phases().begin("first");
    co_await yield_now();
    job.phases().begin("second");
    AsyncEvent never;
    co_return co_await never.wait();
}

/// A client that sends "hello" and takes what it gets.
struct Ends final : JobInput, JobOutput {
    std::string sent = "hello";
    std::string taken;

    Task<std::size_t> read(std::span<char> buffer) override {
        const std::size_t bytes = sent.copy(buffer.data(), buffer.size());
        sent.erase(0, bytes);
        co_return bytes;
    }

    Task<void> write(std::string_view bytes) override {
        taken += bytes;
        co_return ok;
    }
};

/// A job like cat, on the given ends or on none.
Task<void> copies(Job& job, Ends* ends) {
    if (ends != nullptr) {
        job.connect(*ends, *ends);
    }
    std::array<char, 3> buffer;
    for (;;) {
        CO_TRY(const std::size_t bytes, co_await job.read(buffer));
        if (bytes == 0) {
            break;
        }
        CO_CHECK(co_await job.write({buffer.data(), bytes}));
    }
    CO_CHECK(co_await job.write("!"));
    for (std::size_t i = 0; i < Job::complaints_kept_max + 5; ++i) {
        job.complain("line " + std::to_string(i));
    }
    co_return ok;
}

Task<int> fails(Job&) {
    co_return Error(ErrorKind::conflict, "no");
}

}  // namespace

TEST_CASE("a job is listed with its phases, and ends when it is cancelled", "[engine]") {
    auto body = []() -> Task<void> {
        Engine engine;
        TaskGroup group(GroupPolicy::independent);
        group.spawn(engine.run("image_pull", {"busybox"}, waits_for_ever));
        while (engine.list().empty() || engine.list()[0].phases.size() < 2) {
            co_await yield_now();
        }
        const JobReport running = engine.list()[0];
        CHECK(running.status == JobStatus::running);
        CHECK(running.arguments == std::vector<std::string>{"busybox"});
        CHECK(running.phases[0].name == "first");
        CHECK(running.phases[1].start >= running.phases[0].start + running.phases[0].duration);
        CHECK(engine.cancel(running.id + 1).error().kind() == ErrorKind::not_found);
        CO_CHECK(engine.cancel(running.id));
        static_cast<void>(co_await group.join());
        CHECK(engine.running_count() == 0);
        CHECK(engine.list()[0].status == JobStatus::cancelled);
        CHECK(engine.cancel(running.id).error().kind() == ErrorKind::not_found);

        const auto failed = co_await engine.run("image_tag", {}, fails);
        CHECK(failed.error().kind() == ErrorKind::conflict);
        CHECK(engine.list()[0].status == JobStatus::failed);
        CHECK(engine.list()[0].error == "no");
        co_return ok;
    };
    Loop loop;
    CHECK(loop.run(body()));
}

TEST_CASE("a job has standard streams, and what passed through them is told", "[engine]") {
    auto body = []() -> Task<void> {
        Engine engine;
        Ends ends;
        CO_CHECK(co_await engine.run("image_pull", {}, copies, &ends));
        CHECK(ends.taken == "hello!");
        const JobTraffic carried = engine.list()[0].traffic;
        CHECK(carried.bytes_read == 5);
        CHECK(carried.bytes_written == 6);
        CHECK(carried.complaints.size() == Job::complaints_kept_max);
        CHECK(carried.complaints[0] == "line 0");

        CO_CHECK(co_await engine.run("image_pull", {}, copies, nullptr));
        CHECK(engine.list()[0].traffic.bytes_read == 0);
        CHECK(engine.list()[0].traffic.bytes_written == 1);
        co_return ok;
    };
    Loop loop;
    CHECK(loop.run(body()));
}

TEST_CASE("events are kept up to a count and a size, and readers are told of a gap", "[events]") {
    auto body = []() -> Task<void> {
        EventBus bus;
        const std::string label(64 * 1024, 'x');
        for (int i = 0; i < 1000; ++i) {
            bus.publish("container", "start", std::to_string(i), {{"label", label}});
        }
        CHECK(bus.next_sequence() == 1001);
        const auto gone = bus.find(1);
        CHECK(gone.error().kind() == ErrorKind::resource_exhausted);
        const std::uint64_t kept = 1001 - bus.sequence_since(WallTime{});
        CHECK(kept > 10);
        CHECK(kept * label.size() <= limits::events_kept_bytes_max);
        CO_CHECK(co_await bus.reach(1000));
        CO_TRY(const Event* last, bus.find(1000));
        CHECK(last->actor_id == "999");
        co_return ok;
    };
    Loop loop;
    CHECK(loop.run(body()));
}

TEST_CASE("of attributes with one name the last counts", "[events]") {
    EventBus bus;
    bus.publish("container", "start", "id", {{"name", "a label"}, {"b", "1"}, {"name", "web"}});
    const auto event = bus.find(1);
    REQUIRE(event);
    CHECK((*event)->attribute("name") == "web");
    CHECK((*event)->attribute("absent").empty());
    CHECK((*event)->attributes.size() == 2);
    CHECK((*event)->attributes.front().first == "b");
}

TEST_CASE("a rotated log is compressed beside the output", "[output]") {
    auto body = []() -> Task<void> {
        const std::string directory = "/tmp/davit-pack-test-" + std::to_string(::getpid());
        const std::string path = directory + "/log";
        const LogRotation rotation{.bytes_max = 1000, .files_max = 50, .compress = true};
        const auto is_there = [&path](const char* suffix) {
            return ::access((path + suffix).c_str(), F_OK) == 0;
        };
        const auto records = [&path]() -> std::size_t {
            auto log = LogFiles::open(path);
            REQUIRE(log);
            std::size_t count = 0;
            for (auto record = log->next(); record && *record; record = log->next()) {
                ++count;
            }
            return count;
        };
        constexpr std::size_t lines = 200;
        {
            OutputHub hub;
            hub.log_to(JsonFileWriter::make(path, rotation));
            CO_CHECK(co_await hub.publish(OutputStream::standard_output, std::string(lines, '\n')));
            CHECK(is_there(".1"));  // Nobody has compressed it, and nobody has waited for that.
            CHECK(is_there(".5"));
            CHECK(records() == lines);
        }
        OutputHub hub;  // A later daemon's, or a later run's.
        hub.log_to(JsonFileWriter::make(path, rotation));
        TaskGroup packing;
        packing.spawn(hub.log_pack());
        CO_CHECK(co_await hub.publish(OutputStream::standard_output, std::string(lines, '\n')));
        hub.run_ended();
        CO_CHECK(co_await packing.join());
        CHECK(!is_there(".1"));
        CHECK(is_there(".1.gz"));
        CHECK(!is_there(".9"));
        CHECK(is_there(".9.gz"));
        CHECK(records() == 2 * lines);
        co_return remove_tree(AT_FDCWD, directory);
    };
    Loop loop;
    CHECK(loop.run(body()));
}

TEST_CASE("a reader that does not read holds the writer, but not the end", "[output]") {
    auto body = []() -> Task<void> {
        OutputHub hub;
        OutputHub::Reader slow(hub);
        const std::string bytes(limits::attach_backlog_bytes_max, 'x');
        std::size_t published = 0;
        auto write = [](OutputHub& to, const std::string& text, std::size_t& count) -> Task<void> {
            for (int i = 0; i < 3; ++i) {
                CO_CHECK(co_await to.publish(OutputStream::standard_output, text));
                ++count;
            }
            co_return ok;
        };
        TaskGroup group;
        group.spawn(write(hub, bytes, published));
        for (int i = 0; i < 10; ++i) {
            co_await yield_now();
        }
        CHECK(published == 0);
        hub.writers_ended();
        CO_CHECK(co_await group.join());
        CHECK(published == 3);
        hub.run_ended();
        std::size_t read = 0;
        for (;;) {
            CO_TRY(const std::optional<OutputChunk> chunk, co_await slow.next());
            if (!chunk) {
                break;
            }
            read += chunk->bytes->size();
        }
        CHECK(read == 3 * bytes.size());
        co_return ok;
    };
    Loop loop;
    CHECK(loop.run(body()));
}

TEST_CASE("output that grows in the log is taken in steps; who joins between misses nothing",
          "[output]") {
    auto body = []() -> Task<void> {
        const std::string directory = "/tmp/davit-hub-test-" + std::to_string(::getpid());
        const std::string path = directory + "/log";
        const std::string lines(32 * 1024, '\n');
        OutputHub hub;
        hub.log_to(JsonFileWriter::make(path));
        auto publish = [](OutputHub& to, std::string bytes, bool& done) -> Task<void> {
            CO_CHECK(co_await to.publish(OutputStream::standard_output, bytes));
            done = true;
            co_return ok;
        };
        bool done = false;
        TaskGroup group;
        group.spawn(publish(hub, lines, done));
        CHECK(!done);  // Others have their turn before all of it is written.
        co_await yield_now();
        CHECK(!done);
        OutputHub::Reader late(hub);
        CO_CHECK(co_await group.join());
        hub.run_ended();
        auto log = JsonFileReader::open(path);
        REQUIRE(log);
        log->end_at(late.log_position()->file_bytes);
        std::size_t replayed = 0;
        for (;;) {
            CO_TRY(const LogRecord* record, log->next());
            if (record == nullptr) {
                break;
            }
            ++replayed;
        }
        std::size_t followed = 0;
        for (;;) {
            CO_TRY(const std::optional<OutputChunk> chunk, co_await late.next());
            if (!chunk) {
                break;
            }
            followed += chunk->bytes->size();
        }
        CHECK(replayed > 0);
        CHECK(followed > 0);
        CHECK(replayed + followed == lines.size());
        co_return remove_tree(AT_FDCWD, directory);
    };
    Loop loop;
    CHECK(loop.run(body()));
}

}  // namespace davit
