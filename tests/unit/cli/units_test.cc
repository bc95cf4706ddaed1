// Goal: sizes, durations and times are read and written as docker does. Method: pairs of text and
// value, among them the edges between units.
#include "cli/units.h"

#include <stdlib.h>
#include <time.h>

#include "tests/support/catch.h"

namespace davit::cli {

namespace {

std::int64_t size_of(std::string_view text) {
    const Result<std::int64_t> size = size_parse(text);
    return size ? *size : -1;
}

std::int64_t duration_of(std::string_view text) {
    const Result<Nanoseconds> duration = duration_parse(text);
    return duration ? duration->count() : -1;
}

std::string timestamp_of(std::string_view text) {
    const WallTime now = wall_from_unix_nanoseconds(1'700'000'000'000'000'005);
    Result<std::string> time = timestamp_parse(text, now);
    return time ? *time : "error";
}

std::string ago(std::int64_t seconds) {
    return duration_text(std::chrono::seconds(seconds));
}

}  // namespace

TEST_CASE("units: sizes") {
    CHECK(size_of("0") == 0);
    CHECK(size_of("512") == 512);
    CHECK(size_of("4b") == 4);
    CHECK(size_of("2k") == 2048);
    CHECK(size_of("2KB") == 2048);
    CHECK(size_of("1.5MiB") == 1536 * 1024);
    CHECK(size_of("3 g") == 3LL << 30);
    CHECK(size_of("1t") == 1LL << 40);
    for (const char* bad : {"", "x", "m", "-1", "1x", "1mm", "1kbb", "1e3", "99999999p", "1ki"}) {
        INFO(bad);
        CHECK(size_of(bad) == -1);
    }
}

TEST_CASE("units: durations") {
    CHECK(duration_of("0") == 0);
    CHECK(duration_of("10s") == 10'000'000'000);
    CHECK(duration_of("1h30m") == 5'400'000'000'000);
    CHECK(duration_of("1.5ms") == 1'500'000);
    CHECK(duration_of("100ns") == 100);
    CHECK(duration_of("7us") == 7'000);
    CHECK(duration_of("-2m") == -120'000'000'000);
    for (const char* bad : {"", "-", "10", "s", "1x", "1h3", "999999999h"}) {
        INFO(bad);
        CHECK(duration_of(bad) == -1);
    }
}

TEST_CASE("units: cpus") {
    CHECK(*nano_cpus_parse("1") == 1'000'000'000);
    CHECK(*nano_cpus_parse("0.25") == 250'000'000);
    CHECK(*nano_cpus_parse("3/2") == 1'500'000'000);
    CHECK(*nano_cpus_parse("0.1") == 100'000'000);
    for (const char* bad : {"", "x", "-1", "1/0", "1/", "1.0000000001", "0.0000000001"}) {
        INFO(bad);
        CHECK_FALSE(nano_cpus_parse(bad));
    }
}

TEST_CASE("units: points in time") {
    ::setenv("TZ", "UTC", 1);
    ::tzset();
    CHECK(timestamp_of("10s") == "1699999990.000000005");
    CHECK(timestamp_of("1136073600") == "1136073600");
    CHECK(timestamp_of("1136073600.000000001") == "1136073600.000000001");
    CHECK(timestamp_of("2006-01-02") == "1136160000.000000000");
    CHECK(timestamp_of("2006-01-02T15:04") == "1136214240.000000000");
    CHECK(timestamp_of("2006-01-02T15:04:05Z") == "1136214245.000000000");
    CHECK(timestamp_of("2006-01-02T15:04:05.25Z") == "1136214245.250000000");
    CHECK(timestamp_of("2006-01-02T15:04:05+01:00") == "1136210645.000000000");
    for (const char* bad : {"", "x", "2006-13-01", "2006-01-02T25", "2006-01-02Tx", "1.x", "1."}) {
        INFO(bad);
        CHECK(timestamp_of(bad) == "error");
    }
    ::setenv("TZ", "UTC-2", 1);  // Two hours ahead of Greenwich.
    ::tzset();
    CHECK(timestamp_of("2006-01-02T15:04") == "1136207040.000000000");
    CHECK(local_time_text(wall_from_unix_nanoseconds(1'136'207'040'000'000'007)) ==
          "2006-01-02T15:04:00.000000007+02:00");
    CHECK(local_second_text(wall_from_unix_nanoseconds(1'136'207'040'999'999'999)) ==
          "2006-01-02T15:04:00+02:00");
    ::setenv("TZ", "UTC", 1);
    ::tzset();
    CHECK(date_text(wall_from_unix_nanoseconds(1'136'214'245'000'000'000)) ==
          "2006-01-02 15:04:05 +0000 UTC");
}

TEST_CASE("units: sizes and durations for people") {
    CHECK(size_text(0, 3) == "0B");
    CHECK(size_text(999, 3) == "999B");
    CHECK(size_text(4'261'550, 3) == "4.26MB");
    CHECK(size_text(1'500, 4) == "1.5kB");
    CHECK(binary_size_text(0) == "0B");
    CHECK(binary_size_text(1023) == "1023B");
    CHECK(binary_size_text(67'108'864) == "64MiB");
    CHECK(binary_size_text(1'600'000) == "1.526MiB");
    CHECK(ago(0) == "Less than a second");
    CHECK(ago(1) == "1 second");
    CHECK(ago(59) == "59 seconds");
    CHECK(ago(60) == "About a minute");
    CHECK(ago(3599) == "59 minutes");
    CHECK(ago(3600) == "About an hour");
    CHECK(ago(7200) == "2 hours");
    CHECK(ago(47 * 3600) == "47 hours");
    CHECK(ago(48 * 3600) == "2 days");
    CHECK(ago(14 * 86400) == "2 weeks");
    CHECK(ago(60 * 86400) == "2 months");
    CHECK(ago(730LL * 86400) == "2 years");
}

}  // namespace davit::cli
