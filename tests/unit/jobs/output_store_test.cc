// Goal: whatever moment the daemon dies at, every line that a container wrote is in its log once.
// Method: a process that numbers its lines; another one that takes them and logs them, and is ended
// by a timer wherever it happens to be; then the next, until all is written. Beyond that, the
// store's bounds: long lines, slots, a take that finds nothing.
#include "jobs/container/output_store.h"

#include <poll.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <random>

#include "tests/support/catch.h"

namespace davit {

namespace {

constexpr OutputStream standard_output = OutputStream::standard_output;

class TemporaryFile {
  public:
    TemporaryFile() {
        char path[] = "/tmp/output-store-XXXXXX";
        Fd(::mkostemp(path, O_CLOEXEC)).reset();
        path_ = path;
    }

    ~TemporaryFile() { ::unlink(path_.c_str()); }

    TemporaryFile(const TemporaryFile&) = delete;
    TemporaryFile& operator=(const TemporaryFile&) = delete;

    const std::string& path() const { return path_; }

  private:
    std::string path_;
};

OutputStore::Files copy(const OutputStore::Files& files) {
    OutputStore::Files copies;
    copies.memory = *Fd::duplicate(files.memory.get());
    copies.stage_read = *Fd::duplicate(files.stage_read.get());
    copies.stage_write = *Fd::duplicate(files.stage_write.get());
    return copies;
}

void append(OutputSlot& slot, JsonFileWriter& log, std::string_view bytes) {
    while (!bytes.empty()) {
        slot.log_begins(standard_output, log.place());
        REQUIRE(log.append_step(standard_output, bytes));
        slot.logged(standard_output, log.held_bytes(standard_output) + bytes.size());
    }
}

/// What a daemon does with one stream, from where the last one stopped to the stream's end.
void follow(const OutputStore::Files& files,
            const ContainerId& id,
            int from,
            const std::string& path) {
    auto store = OutputStore::adopt(copy(files));
    REQUIRE(store);
    OutputSlot slot = (*store)->slot_adopt(0, id);
    JsonFileWriter log = JsonFileWriter::make(path);
    if (const auto before = slot.log_cut_off(standard_output)) {
        REQUIRE(log.cut_off(*before));
    }
    const std::string left(slot.unlogged(standard_output));
    append(slot, log, left);
    for (;;) {
        const auto taken = slot.take(standard_output, from);
        REQUIRE(taken);
        if (!*taken) {
            pollfd wanted{from, POLLIN, 0};
            ::poll(&wanted, 1, -1);
        } else if ((*taken)->empty()) {
            return;
        } else {
            append(slot, log, **taken);
        }
    }
}

/// Lines of many lengths, some of them longer than a record.
std::string line_of(unsigned number) {
    const std::size_t length = number % 501 == 0 ? 20000 : number % 97;
    return std::to_string(number) + std::string(length, 'x');
}

pid_t write_lines(int to, unsigned count) {
    const pid_t writer = ::fork();
    if (writer == 0) {
        for (unsigned number = 0; number < count; ++number) {
            static_cast<void>(write_all(to, line_of(number) + "\n"));
        }
        std::_Exit(0);
    }
    return writer;
}

std::string log_text(const std::string& path) {
    auto log = JsonFileReader::open(path);
    REQUIRE(log);
    std::string text;
    for (;;) {
        const auto record = log->next();
        REQUIRE(record);
        if (!*record) {
            return text;
        }
        text += (*record)->text;
    }
}

}  // namespace

TEST_CASE("a taker that dies anywhere loses and repeats nothing", "[output]") {
    constexpr unsigned lines = 40000;
    constexpr int deaths_max = 200;  // On a slow machine most would die before they have begun.
    const ContainerId id = ContainerId::generate();
    const TemporaryFile log;
    auto store = OutputStore::make();
    REQUIRE(store);
    {
        const auto slot = (*store)->slot_take(id);
        REQUIRE(slot);
        REQUIRE(slot->number() == 0);
        auto pipe = pipe_make();
        REQUIRE(pipe);
        const pid_t writer = write_lines(pipe->write_end.get(), lines);
        pipe->write_end.reset();
        std::mt19937 random(1);
        int deaths = 0;
        for (bool ended = false; !ended;) {
            const auto microseconds = static_cast<suseconds_t>(random() % 3000 + 50);
            const pid_t taker = ::fork();
            if (taker == 0) {
                const itimerval end{{0, 0}, {0, microseconds}};
                ::signal(SIGALRM, SIG_DFL);
                if (deaths < deaths_max) {
                    ::setitimer(ITIMER_REAL, &end, nullptr);
                }
                follow((*store)->files(), id, pipe->read_end.get(), log.path());
                std::_Exit(0);
            }
            int status = 0;
            REQUIRE(::waitpid(taker, &status, 0) == taker);
            ended = WIFEXITED(status);
            deaths += ended ? 0 : 1;
        }
        ::waitpid(writer, nullptr, 0);
        CHECK(deaths > 10);
    }
    std::string expected;
    for (unsigned number = 0; number < lines; ++number) {
        expected += line_of(number) + "\n";
    }
    CHECK(log_text(log.path()) == expected);
}

TEST_CASE("a take tells nothing from the end, and a slot from another", "[output]") {
    auto store = OutputStore::make();
    REQUIRE(store);
    const ContainerId first_id = ContainerId::generate();
    auto pipe = pipe_make();
    REQUIRE(pipe);
    {
        auto first = (*store)->slot_take(first_id);
        auto second = (*store)->slot_take(ContainerId::generate());
        REQUIRE(first);
        REQUIRE(second);
        CHECK(second->number() == 1);
        CHECK(!*first->take(standard_output, pipe->read_end.get()));
        REQUIRE(write_all(pipe->write_end.get(), "abc"));
        CHECK(**first->take(standard_output, pipe->read_end.get()) == "abc");
        REQUIRE(write_all(pipe->write_end.get(), "def"));
        CHECK(**first->take(standard_output, pipe->read_end.get()) == "def");
        CHECK(first->unlogged(standard_output) == "abcdef");
        CHECK(first->unlogged(OutputStream::standard_error).empty());
        CHECK(second->unlogged(standard_output).empty());
        const LogPlace place{5, 77};
        first->log_begins(standard_output, place);
        CHECK(first->log_cut_off(standard_output) == place);
        first->logged(standard_output, 2);
        CHECK(first->unlogged(standard_output) == "ef");
        CHECK(!first->log_cut_off(standard_output));
        pipe->write_end.reset();
        const auto end = first->take(standard_output, pipe->read_end.get());
        REQUIRE(*end);
        CHECK((*end)->empty());

        // What the next daemon sees of it; and a slot that is another container's begins empty.
        auto next = OutputStore::adopt(copy((*store)->files()));
        REQUIRE(next);
        CHECK((*next)->slot_adopt(0, first_id).unlogged(standard_output) == "ef");
        const auto other = (*next)->slot_adopt(1, first_id);
        CHECK(other.unlogged(standard_output).empty());
        const auto free = (*next)->slot_take(first_id);
        REQUIRE(free);
        CHECK(free->number() == 0);
    }
    const auto again = (*store)->slot_take(first_id);
    REQUIRE(again);
    CHECK(again->number() == 0);
    CHECK(again->unlogged(standard_output).empty());
}

}  // namespace davit
