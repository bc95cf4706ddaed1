// Goal: a log in many files reads as one: nothing twice, nothing missing that is still there.
#include "drivers/log/log_files.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "drivers/log/log_gzip.h"
#include "tests/support/catch.h"

using namespace davit;

namespace {

constexpr auto out = OutputStream::standard_output;

struct LogDirectory {
    LogDirectory() {
        char pattern[] = "/tmp/davit-logs-test-XXXXXX";
        directory = ::mkdtemp(pattern);
        path = directory + "/c-json.log";
    }

    ~LogDirectory() { static_cast<void>(remove_tree(AT_FDCWD, directory)); }

    std::uint64_t bytes(const std::string& suffix) const {
        struct stat info {};

        return ::stat((path + suffix).c_str(), &info) == 0
                   ? static_cast<std::uint64_t>(info.st_size)
                   : 0;
    }

    std::string directory;
    std::string path;
};

void write_lines(JsonFileWriter& log, int first, int last) {
    for (int i = first; i < last; ++i) {
        REQUIRE(log.append(out, "line " + std::to_string(i) + "\n"));
    }
}

std::vector<std::string> read_all(LogFiles& log) {
    std::vector<std::string> lines;
    for (;;) {
        const auto record = log.next();
        REQUIRE(record);
        if (!*record) {
            return lines;
        }
        lines.push_back((*record)->text);
    }
}

std::vector<std::string> lines(int first, int last) {
    std::vector<std::string> expected;
    for (int i = first; i < last; ++i) {
        expected.push_back("line " + std::to_string(i) + "\n");
    }
    return expected;
}

}  // namespace

namespace {

constexpr LogRotation compressing{.bytes_max = 1000, .files_max = 5, .compress = true};

/// What the daemon does after a rotation.
void compress(const JsonFileWriter& log) {
    const auto packer = log.packer();
    REQUIRE(packer);
    while (const auto source = packer->next()) {
        const auto made = log_compress(source->get(), packer->directory());
        REQUIRE(made);
        REQUIRE(packer->put(*source, *made));
    }
}

}  // namespace

TEST_CASE("rotated files are compressed, and read as before", "[log]") {
    const LogDirectory place;
    auto log = JsonFileWriter::make(place.path, compressing);
    for (int i = 0; i < 40; ++i) {
        write_lines(log, i, i + 1);
        compress(log);
    }
    CHECK(place.bytes(".1") == 0);
    CHECK(place.bytes(".1.gz") > 0);
    CHECK(place.bytes(".1.gz") < 700);
    CHECK(place.bytes(".2.gz") > 0);
    auto reader = LogFiles::open(place.path);
    REQUIRE(reader);
    CHECK(read_all(*reader) == lines(0, 40));

    for (const int count : {0, 1, 5, 12, 13, 14, 25, 39, 40, 99}) {
        auto tail = LogFiles::open(place.path);
        REQUIRE(tail);
        bool reached = false;
        while (!reached) {
            const auto step = tail->seek_tail_step(static_cast<std::uint64_t>(count));
            REQUIRE(step);
            reached = *step;
        }
        CHECK(read_all(*tail) == lines(std::max(0, 40 - count), 40));
    }
}

TEST_CASE("the oldest goes, compressed or not", "[log]") {
    const LogDirectory place;
    auto log = JsonFileWriter::make(place.path, compressing);
    for (int i = 0; i < 300; ++i) {
        write_lines(log, i, i + 1);
        if (i % 30 != 0) {
            compress(log);
        }
    }
    CHECK(place.bytes(".5.gz") == 0);
    CHECK(place.bytes(".5") == 0);
    auto reader = LogFiles::open(place.path);
    REQUIRE(reader);
    const std::vector<std::string> read = read_all(*reader);
    const int kept = static_cast<int>(read.size());
    CHECK(kept > 40);
    CHECK(kept < 80);
    CHECK(read == lines(300 - kept, 300));
}

TEST_CASE("a reader follows across files that are compressed meanwhile", "[log]") {
    const LogDirectory place;
    auto log = JsonFileWriter::make(place.path, compressing);
    write_lines(log, 0, 2);
    auto reader = LogFiles::open(place.path);
    REQUIRE(reader);
    CHECK(read_all(*reader) == lines(0, 2));
    int next = 2;
    for (const int step : {1, 30, 1, 17, 29, 2}) {
        for (int i = 0; i < step; ++i) {
            write_lines(log, next + i, next + i + 1);
            compress(log);
        }
        CHECK(read_all(*reader) == lines(next, next + step));
        next += step;
    }
}

TEST_CASE("a position is found again in what its file was compressed to", "[log]") {
    const LogDirectory place;
    auto log = JsonFileWriter::make(place.path, compressing);
    write_lines(log, 0, 5);
    const LogPosition position = log.position();
    write_lines(log, 5, 30);
    compress(log);
    REQUIRE(place.bytes(".2.gz") > 0);
    auto reader = LogFiles::open(place.path);
    REQUIRE(reader);
    reader->end_at(position);
    CHECK(read_all(*reader) == lines(0, 5));
}

TEST_CASE("a rotation while a file is compressed, and a crash behind it", "[log]") {
    const LogDirectory place;
    auto log = JsonFileWriter::make(place.path, compressing);
    write_lines(log, 0, 14);
    const auto packer = log.packer();
    REQUIRE(packer);
    const auto source = packer->next();
    REQUIRE(source);
    const Result<Fd> made = log_compress(source->get(), packer->directory());
    REQUIRE(made);
    write_lines(log, 14, 28);  // It has another name now.
    REQUIRE(packer->put(*source, *made));
    CHECK(place.bytes(".2.gz") > 0);
    CHECK(place.bytes(".2") == 0);
    REQUIRE(::link((place.path + ".1").c_str(), (place.path + ".kept").c_str()) == 0);
    compress(log);
    // As if the daemon had died before the file itself went.
    REQUIRE(::link((place.path + ".kept").c_str(), (place.path + ".1").c_str()) == 0);
    auto reader = LogFiles::open(place.path);
    REQUIRE(reader);
    CHECK(read_all(*reader) == lines(0, 28));
    auto later = JsonFileWriter::make(place.path, compressing);
    write_lines(later, 28, 41);
    compress(later);
    CHECK(place.bytes(".2") == 0);
    auto again = LogFiles::open(place.path);
    REQUIRE(again);
    CHECK(read_all(*again) == lines(0, 41));
}

namespace {

/// What outlives a writer of lines that dies: as the output store of a daemon.
struct Progress {
    int next = 0;
    bool writing = false;
    LogPlace place;
};

/// One line after the other, from where the last writer stopped.
void write_on(const LogRotation& rotation, const std::string& path, Progress& progress, int end) {
    auto log = JsonFileWriter::make(path, rotation);
    if (progress.writing) {
        REQUIRE(log.cut_off(progress.place));
    }
    while (progress.next < end) {
        progress.place = log.place();
        progress.writing = true;
        write_lines(log, progress.next, progress.next + 1);
        ++progress.next;
        progress.writing = false;
        if (rotation.compress && log.rotated_take()) {
            compress(log);
        }
    }
}

/// Run a function in a process that dies at its stop-th stop at a system call.
/// Gives: whether it died there.
template <typename Function>
bool dies_at(int stop, Function&& function) {
    const pid_t child = ::fork();
    if (child == 0) {
        ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
        ::raise(SIGSTOP);
        function();
        std::_Exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    for (; stop > 0 && WIFSTOPPED(status); --stop) {
        ::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr);
        ::waitpid(child, &status, 0);
    }
    if (WIFEXITED(status)) {
        REQUIRE(WEXITSTATUS(status) == 0);
        return false;
    }
    ::kill(child, SIGKILL);
    ::waitpid(child, &status, 0);
    return true;
}

}  // namespace

TEST_CASE("a writer that dies anywhere in a rotation loses and repeats nothing", "[log]") {
    void* const shared = ::mmap(
        nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(shared != MAP_FAILED);
    auto& progress = *static_cast<Progress*>(shared);
    for (const bool packed : {false, true}) {
        // Room for all, so that what is missing is missing for good.
        const LogRotation rotation{.bytes_max = 300, .files_max = 20, .compress = packed};
        bool died = true;
        for (int stop = 1; died; ++stop) {
            const LogDirectory place;
            progress = Progress{};
            died = true;
            write_on(rotation, place.path, progress, 15);
            REQUIRE(place.bytes(packed ? ".2.gz" : ".2") > 0);
            // Several in turn, each of which comes a little further.
            for (int death = 0; death < 6; ++death) {
                died = dies_at(stop + 5 * death,
                               [&] { write_on(rotation, place.path, progress, 30); }) &&
                       died;
            }
            auto now = LogFiles::open(place.path);
            REQUIRE(now);
            const std::vector<std::string> read = read_all(*now);
            const int count = static_cast<int>(read.size());
            CHECK(read == lines(0, count));
            CHECK((count == progress.next || count == progress.next + 1));
            for (const int end : {31, 50}) {
                write_on(rotation, place.path, progress, end);
                auto later = LogFiles::open(place.path);
                REQUIRE(later);
                CHECK(read_all(*later) == lines(0, end));
            }
            CHECK((!packed || place.bytes(".3") == 0));
            REQUIRE(stop < 2000);
        }
    }
    ::munmap(shared, sizeof(Progress));
}

TEST_CASE("a damaged compressed file hides no other", "[log]") {
    const LogDirectory place;
    auto log = JsonFileWriter::make(place.path, compressing);
    write_lines(log, 0, 30);
    compress(log);
    const std::string first = place.path + ".1.gz";

    struct stat info {};

    REQUIRE(::stat(first.c_str(), &info) == 0);
    REQUIRE(::truncate(first.c_str(), info.st_size - 9) == 0);
    auto reader = LogFiles::open(place.path);
    REQUIRE(reader);
    int corrupt = 0;
    std::vector<std::string> read;
    for (;;) {
        const auto record = reader->next();
        if (!record) {
            REQUIRE(record.error().kind() == ErrorKind::corrupt);
            REQUIRE(++corrupt < 5);
            continue;
        }
        if (!*record) {
            break;
        }
        read.push_back((*record)->text);
    }
    CHECK(corrupt == 1);
    CHECK(read.back() == "line 29\n");
    CHECK(read.front() == "line 0\n");
    REQUIRE(::truncate(first.c_str(), 3) == 0);
    auto rest = LogFiles::open(place.path);
    REQUIRE(rest);
    CHECK(read_all(*rest).front() == "line 0\n");
}

TEST_CASE("files have their size and their number", "[log]") {
    const LogDirectory place;
    auto log = JsonFileWriter::make(place.path, {.bytes_max = 1000, .files_max = 3});
    write_lines(log, 0, 200);
    for (const char* suffix : {"", ".1", ".2"}) {
        CHECK(place.bytes(suffix) > 0);
        CHECK(place.bytes(suffix) < 1100);  // A record more than the bound at most.
    }
    CHECK(place.bytes(".3") == 0);
    auto reader = LogFiles::open(place.path);
    REQUIRE(reader);
    const std::vector<std::string> read = read_all(*reader);
    const int kept = static_cast<int>(read.size());
    CHECK(kept > 25);
    CHECK(kept < 50);
    CHECK(read == lines(200 - kept, 200));
}

TEST_CASE("many lines at once are spread over files, too", "[log]") {
    const LogDirectory place;
    auto log = JsonFileWriter::make(place.path, {.bytes_max = 1000, .files_max = 100});
    std::string text;
    for (const std::string& line : lines(0, 300)) {
        text += line;
    }
    REQUIRE(log.append(out, text));
    CHECK(place.bytes(".5") < 1100);
    auto reader = LogFiles::open(place.path);
    REQUIRE(reader);
    CHECK(read_all(*reader) == lines(0, 300));
}

TEST_CASE("one file alone starts anew", "[log]") {
    const LogDirectory place;
    auto log = JsonFileWriter::make(place.path, {.bytes_max = 500, .files_max = 1});
    write_lines(log, 0, 6);
    auto reader = LogFiles::open(place.path);
    REQUIRE(reader);
    write_lines(log, 6, 12);
    CHECK(place.bytes("") < 600);
    CHECK(place.bytes(".1") == 0);
    CHECK(read_all(*reader) == lines(0, 12));  // It holds the file that went.
    CHECK(log.retired_take() != nullptr);
    CHECK(log.retired_take() == nullptr);
}

TEST_CASE("a reader follows across rotations", "[log]") {
    const LogDirectory place;
    auto log = JsonFileWriter::make(place.path, {.bytes_max = 400, .files_max = 4});
    write_lines(log, 0, 2);
    auto reader = LogFiles::open(place.path);
    REQUIRE(reader);
    CHECK(read_all(*reader) == lines(0, 2));
    int next = 2;
    for (const int step : {1, 3, 1, 7, 9, 2}) {
        write_lines(log, next, next + step);
        CHECK(read_all(*reader) == lines(next, next + step));
        next += step;
    }
    CHECK(reader->bytes_read() > 0);
    // So slow that files have gone meanwhile: the oldest that is left comes next.
    write_lines(log, next, next + 200);
    const std::vector<std::string> rest = read_all(*reader);
    const int kept = static_cast<int>(rest.size());
    CHECK(kept < 200);
    CHECK(kept > 10);
    CHECK(std::vector<std::string>(rest.end() - 10, rest.end()) == lines(next + 190, next + 200));
}

TEST_CASE("a tail reaches back through files", "[log]") {
    const LogDirectory place;
    auto log = JsonFileWriter::make(place.path, {.bytes_max = 300, .files_max = 20});
    write_lines(log, 0, 50);
    for (const int count : {0, 1, 3, 4, 5, 17, 49, 50, 51, 1000}) {
        auto reader = LogFiles::open(place.path);
        REQUIRE(reader);
        for (Result<bool> reached = false; reached && !*reached;) {
            reached = reader->seek_tail_step(static_cast<std::uint64_t>(count));
            REQUIRE(reached);
        }
        CHECK(read_all(*reader) == lines(std::max(0, 50 - count), 50));
    }
}

TEST_CASE("a position stays where it was", "[log]") {
    const LogDirectory place;
    auto log = JsonFileWriter::make(place.path, {.bytes_max = 300, .files_max = 4});
    write_lines(log, 0, 6);
    const LogPosition position = log.position();
    write_lines(log, 6, 10);
    auto reader = LogFiles::open(place.path);
    REQUIRE(reader);
    reader->end_at(position);
    CHECK(read_all(*reader) == lines(0, 6));
    write_lines(log, 10, 100);
    auto late = LogFiles::open(place.path);
    REQUIRE(late);
    late->end_at(position);  // Its file has gone.
    CHECK(read_all(*late).empty());
}

TEST_CASE("attributes stand beside records, and are read when wanted", "[log]") {
    const LogDirectory place;
    auto log = JsonFileWriter::make(place.path, {}, {{"b", "2"}, {"a", "\"1\""}});
    write_lines(log, 0, 1);
    const auto text = file_read(place.path);
    REQUIRE(text);
    CHECK_THAT(
        *text,
        Catch::Matchers::StartsWith(
            R"({"log":"line 0\n","stream":"stdout","attrs":{"a":"\"1\"","b":"2"},"time":")"));
    auto reader = LogFiles::open(place.path);
    REQUIRE(reader);
    auto record = reader->next();
    REQUIRE(record);
    CHECK((*record)->attributes.empty());
    auto wanting = LogFiles::open(place.path);
    REQUIRE(wanting);
    wanting->attributes_wanted();
    record = wanting->next();
    REQUIRE(record);
    CHECK((*record)->attributes == LogAttributes{{"a", "\"1\""}, {"b", "2"}});
}

TEST_CASE("no log at all", "[log]") {
    const LogDirectory place;
    const auto reader = LogFiles::open(place.path);
    REQUIRE_FALSE(reader);
    CHECK(reader.error().kind() == ErrorKind::not_found);
}
