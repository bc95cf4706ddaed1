// Goal: every byte a container writes can be read back, line by line, in Docker's format. Method:
// write in awkward pieces, read the file with the reader and as text.
#include "drivers/log/json_file.h"

#include <stdlib.h>
#include <sys/resource.h>

#include <csignal>

#include "reactor/base/limits.h"
#include "tests/support/catch.h"

using namespace davit;

namespace {

struct LogFile {
    LogFile() {
        char pattern[] = "/tmp/davit-log-test-XXXXXX";
        directory = ::mkdtemp(pattern);
        path = directory + "/c-json.log";
    }

    ~LogFile() { static_cast<void>(remove_tree(AT_FDCWD, directory)); }

    std::vector<LogRecord> read(std::optional<std::uint64_t> tail = {}) const {
        auto reader = JsonFileReader::open(path);
        REQUIRE(reader);
        if (tail) {
            for (Result<bool> reached = false; reached && !*reached;) {
                reached = reader->seek_tail_step(*tail);
                REQUIRE(reached);
            }
        }
        std::vector<LogRecord> records;
        for (;;) {
            const auto record = reader->next();
            REQUIRE(record);
            if (*record == nullptr) {
                return records;
            }
            records.push_back(**record);
        }
    }

    std::string directory;
    std::string path;
};

constexpr auto out = OutputStream::standard_output;
constexpr auto err = OutputStream::standard_error;

}  // namespace

TEST_CASE("lines become records, whatever pieces they come in", "[log]") {
    const LogFile file;
    auto log = JsonFileWriter::make(file.path);
    REQUIRE(log.create());
    JsonFileWriter* const writer = &log;
    REQUIRE(writer->append(out, "one\ntw"));
    REQUIRE(writer->append(err, "warn\n"));
    REQUIRE(writer->append(out, "o\n\nlast"));
    REQUIRE(writer->end(out));
    const auto records = file.read();
    REQUIRE(records.size() == 5);
    CHECK(records[0].text == "one\n");
    CHECK(records[1].text == "warn\n");
    CHECK(records[1].stream == err);
    CHECK(records[2].text == "two\n");
    CHECK(records[3].text == "\n");
    CHECK(records[4].text == "last");
    CHECK(file_read(file.path)->starts_with(R"({"log":"one\n","stream":"stdout","time":")"));
}

TEST_CASE("long lines are split and can be joined again", "[log]") {
    const LogFile file;
    auto log = JsonFileWriter::make(file.path);
    REQUIRE(log.create());
    JsonFileWriter* const writer = &log;
    std::string sent(limits::log_line_bytes_max * 3 + 17, 'x');
    sent += '\n';
    for (std::size_t i = 0; i < sent.size(); i += 5000) {
        REQUIRE(writer->append(out, std::string_view(sent).substr(i, 5000)));
    }
    std::string joined;
    for (const LogRecord& record : file.read()) {
        CHECK(record.text.size() <= limits::log_line_bytes_max);
        joined += record.text;
    }
    CHECK(joined == sent);
}

TEST_CASE("the tail is counted in records", "[log]") {
    const LogFile file;
    auto log = JsonFileWriter::make(file.path);
    REQUIRE(log.create());
    JsonFileWriter* const writer = &log;
    CHECK(file.read(3).empty());
    std::string all;
    for (int i = 0; i < 20'000; ++i) {
        all += "line " + std::to_string(i) + "\n";
    }
    REQUIRE(writer->append(out, all));
    CHECK(file.read(0).empty());
    CHECK(file.read(1).at(0).text == "line 19999\n");
    CHECK(file.read(15'000).size() == 15'000);
    CHECK(file.read(30'000).size() == 20'000);
}

TEST_CASE("a reader sees what is appended later, and survives a bad line", "[log]") {
    const LogFile file;
    auto log = JsonFileWriter::make(file.path);
    REQUIRE(log.create());
    JsonFileWriter* const writer = &log;
    auto reader = JsonFileReader::open(file.path);
    REQUIRE(reader);
    const auto nothing = reader->next();
    REQUIRE(nothing);
    CHECK(*nothing == nullptr);
    REQUIRE(writer->append(out, "a\n"));
    const auto first = reader->next();
    CHECK((*first)->text == "a\n");
    auto spoiler = Fd::open(file.path, O_WRONLY | O_APPEND);
    REQUIRE(write_all(spoiler->get(), "{not json\n"));
    REQUIRE(writer->append(out, "b\n"));
    CHECK(reader->next().error().kind() == ErrorKind::corrupt);
    const auto second = reader->next();
    CHECK((*second)->text == "b\n");
}

TEST_CASE("what a full disk tears is taken back, so the next record is whole", "[log]") {
    const LogFile file;
    auto log = JsonFileWriter::make(file.path);
    REQUIRE(log.create());
    JsonFileWriter* const writer = &log;
    REQUIRE(writer->append(out, "before\n"));
    // A file size limit cuts a write short just as a full disk does.
    const auto before = ::signal(SIGXFSZ, SIG_IGN);
    rlimit old{};
    REQUIRE(::getrlimit(RLIMIT_FSIZE, &old) == 0);
    rlimit small = old;
    small.rlim_cur = log.position().file_bytes + 100;
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
    const Result<void> torn = writer->append(out, "whole\n" + std::string(500, 'x') + "\n");
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &old) == 0);
    ::signal(SIGXFSZ, before);
    CHECK_FALSE(torn);
    REQUIRE(writer->append(out, "after\n"));
    const auto records = file.read();
    REQUIRE(records.size() == 3);
    CHECK(records[1].text == "whole\n");
    CHECK(records[2].text == "after\n");
}

TEST_CASE("a reader stops where it is told, which is where the writer stood", "[log]") {
    const LogFile file;
    auto log = JsonFileWriter::make(file.path);
    JsonFileWriter* const writer = &log;
    CHECK(log.position().file_bytes == 0);
    REQUIRE(writer->append(out, "one\npart"));
    const LogPosition position = log.position();
    CHECK(position.partial_output == "part");
    REQUIRE(writer->append(out, "ial\n"));
    auto reader = JsonFileReader::open(file.path);
    REQUIRE(reader);
    reader->end_at(position.file_bytes);
    const auto first = reader->next();
    CHECK((*first)->text == "one\n");
    CHECK(reader->bytes_read() == position.file_bytes);
    const auto nothing = reader->next();
    REQUIRE(nothing);
    CHECK(*nothing == nullptr);
}

TEST_CASE("a step's work is bounded, however short the lines", "[log]") {
    const LogFile file;
    auto log = JsonFileWriter::make(file.path);
    const std::string lines(64 * 1024, '\n');
    std::string_view left = lines;
    int steps = 0;
    std::uint64_t written = 0;
    while (!left.empty()) {
        REQUIRE(log.append_step(out, left));
        ++steps;
        CHECK(log.position().file_bytes - written < 300 * 1024);
        written = log.position().file_bytes;
    }
    CHECK(steps > 10);
    CHECK(file.read().size() == lines.size());
    // A long line is no more than a step, and what it leaves is held back.
    const std::string long_line(limits::log_line_bytes_max + 10, 'x');
    left = long_line;
    REQUIRE(log.append_step(err, left));
    CHECK(left.empty());
    CHECK(log.position().partial_error.size() == 10);
}

TEST_CASE("records have times that grow, in the usual form", "[log]") {
    const LogFile file;
    auto log = JsonFileWriter::make(file.path);
    REQUIRE(log.append(out, std::string(3000, '\n')));
    REQUIRE(log.append(out, "x\ny\n"));
    auto text = file_read(file.path);
    REQUIRE(text);
    const auto records = file.read();
    REQUIRE(records.size() == 3002);
    std::size_t at = 0;
    for (std::size_t i = 0; i < records.size(); ++i) {
        at = text->find(R"("time":")", at) + 8;
        const std::string shown = text->substr(at, text->find('"', at) - at);
        CHECK((shown == rfc3339_nano(records[i].time)));
        CHECK((i == 0 || records[i].time > records[i - 1].time));
    }
}

TEST_CASE("a line longer than any record is passed over in pieces", "[log]") {
    const LogFile file;
    auto log = JsonFileWriter::make(file.path);
    REQUIRE(log.append(out, "before\n"));
    auto spoiler = Fd::open(file.path, O_WRONLY | O_APPEND);
    REQUIRE(write_all(spoiler->get(), std::string(20'000'000, 'x')));
    auto reader = JsonFileReader::open(file.path);
    REQUIRE(reader);
    CHECK((*reader->next())->text == "before\n");
    int pieces = 0;
    std::uint64_t passed = reader->bytes_read();
    Result<const LogRecord*> record = reader->next();
    for (; !record; record = reader->next()) {
        CHECK(record.error().kind() == ErrorKind::corrupt);
        CHECK(reader->buffer_bytes() < 4'000'000);
        CHECK(reader->bytes_read() - passed < 2'000'000);
        passed = reader->bytes_read();
        ++pieces;
    }
    CHECK(pieces > 10);
    CHECK(*record == nullptr);  // The end, for now; the line is still not over.
    REQUIRE(write_all(spoiler->get(), "x\n"));
    REQUIRE(log.append(out, "after\n"));
    CHECK(reader->next().error().kind() == ErrorKind::corrupt);
    record = reader->next();
    REQUIRE(record);
    CHECK((*record)->text == "after\n");
    CHECK(file.read(1).at(0).text == "after\n");
}
