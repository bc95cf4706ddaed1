// Goal: durations and times are read and shown as Go does, to the nanosecond.
// Method: tables of texts, among them Go's own edge cases.
#include "http/api/duration.h"

#include "tests/support/catch.h"

using namespace davit;

namespace {

constexpr std::int64_t second = 1'000'000'000;

std::int64_t time_of(std::string_view text) {
    const WallTime now = wall_from_unix_nanoseconds(1'700'000'000 * second);
    const auto time = timestamp_parse(text, now);
    INFO(text);
    REQUIRE(time);
    return unix_nanoseconds(*time);
}

}  // namespace

TEST_CASE("durations are read as Go reads them", "[wire][duration]") {
    const auto [text, expected] = GENERATE(table<std::string, std::int64_t>({
        {"0", 0},
        {"5s", 5 * second},
        {"-5s", -5 * second},
        {"+5s", 5 * second},
        {"1h30m", 5400 * second},
        {"1.5h", 5400 * second},
        {".5s", second / 2},
        {"1.s", second},
        {"300ms", 300'000'000},
        {"10us", 10'000},
        {"10\xc2\xb5s", 10'000},
        {"10\xce\xbcs", 10'000},
        {"7ns", 7},
        {"1.1s", 1'100'000'000},
        {"0.3333333333333333333h", 1'200'000'000'000},
        {"9223372036854775807ns", INT64_MAX},
        {"2540400h10m10.000000001s", 9'145'440'610'000'000'001},
    }));
    const auto parsed = go_duration_parse(text);
    INFO(text);
    REQUIRE(parsed);
    CHECK(parsed->count() == expected);
}

TEST_CASE("what is no duration is refused in Go's words", "[wire][duration]") {
    const auto [text, expected] = GENERATE(table<std::string, std::string>({
        {"", "time: invalid duration \"\""},
        {"-", "time: invalid duration \"-\""},
        {".", "time: invalid duration \".\""},
        {".s", "time: invalid duration \".s\""},
        {"3", "time: missing unit in duration \"3\""},
        {"1h3", "time: missing unit in duration \"1h3\""},
        {"3d", "time: unknown unit in duration \"3d\""},
        {"1 s", "time: unknown unit in duration \"1 s\""},
        {"9223372036854775808ns", "time: invalid duration \"9223372036854775808ns\""},
        {"3000000h", "time: invalid duration \"3000000h\""},
        {"99999999999999999999s", "time: invalid duration \"99999999999999999999s\""},
    }));
    const auto parsed = go_duration_parse(text);
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().kind() == ErrorKind::invalid_argument);
    CHECK(parsed.error().message() == expected);
}

TEST_CASE("points in time come in every form that clients use", "[wire][duration]") {
    CHECK(time_of("0") == 0);
    CHECK(time_of("1700000000") == 1'700'000'000 * second);
    CHECK(time_of("1700000000.000000001") == 1'700'000'000 * second + 1);
    CHECK(time_of("1700000000.5") == 1'700'000'000 * second + second / 2);
    CHECK(time_of("1700000000.1234567899") == 1'700'000'000 * second + 123'456'789);
    CHECK(time_of("10m") == 1'699'999'400 * second);
    CHECK(time_of("-10m") == 1'700'000'600 * second);
    CHECK(time_of("2023-11-14T22:13:20Z") == 1'700'000'000 * second);
    CHECK(time_of("2023-11-14T22:13:20.000000007Z") == 1'700'000'000 * second + 7);
    CHECK(time_of("2023-11-14T23:13:20+01:00") == 1'700'000'000 * second);
    CHECK(time_of("2023-11-14T22:13:20") == 1'700'000'000 * second);
    CHECK(time_of("2023-11-14T22:13") == 1'699'999'980 * second);
    CHECK(time_of("2023-11-14T22") == 1'699'999'200 * second);
    CHECK(time_of("2023-11-14T22:13Z") == 1'699'999'980 * second);
    CHECK(time_of("2023-11-14T21:13-01:00") == 1'699'999'980 * second);
    CHECK(time_of("2023-11-14") == 1'699'920'000 * second);
}

TEST_CASE("what is no time is refused", "[wire][duration]") {
    for (const std::string_view text : {"",
                                        "yesterday",
                                        "2023-13-40",
                                        "2023-11-14T",
                                        "2023-11-14X",
                                        "99999999999999999999",
                                        "9999999999999",
                                        "1.2.3",
                                        "12:00"}) {
        const auto time = timestamp_parse(text, WallTime{});
        INFO(text);
        REQUIRE_FALSE(time);
        CHECK(time.error().kind() == ErrorKind::invalid_argument);
    }
}

namespace {

constexpr std::int64_t hour = 3600;
constexpr std::int64_t day = 24 * hour;

}  // namespace

TEST_CASE("durations are shown as docker ps shows them", "[wire][duration]") {
    const auto [seconds, expected] = GENERATE(table<std::int64_t, std::string>({
        {-5, "Less than a second"},
        {0, "Less than a second"},
        {1, "1 second"},
        {59, "59 seconds"},
        {60, "About a minute"},
        {119, "About a minute"},
        {120, "2 minutes"},
        {59 * 60 + 59, "59 minutes"},
        {hour, "About an hour"},
        {hour + 1799, "About an hour"},
        {hour + 1800, "2 hours"},
        {47 * hour, "47 hours"},
        {2 * day, "2 days"},
        {13 * day, "13 days"},
        {14 * day, "2 weeks"},
        {59 * day, "8 weeks"},
        {60 * day, "2 months"},
        {729 * day, "24 months"},
        {730 * day, "2 years"},
    }));
    CHECK(human_duration(Nanoseconds(seconds * second)) == expected);
}
