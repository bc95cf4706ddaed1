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
            REQUIRE(reader->seek_tail(*tail));
        }
        std::vector<LogRecord> records;
        for (;;) {
            auto record = reader->next();
            REQUIRE(record);
            if (!*record) {
                return records;
            }
            records.push_back(**std::move(record));
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
    CHECK(!nothing->has_value());
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
    CHECK(!nothing->has_value());
}
