// Goal: PAX records are taken apart exactly, and nothing malformed gets through.
#include "graph/pax.h"

#include "tests/support/catch.h"

using namespace davit;

namespace {

bool accepted(std::string_view body) {
    PaxRecords records;
    return pax_parse(body, records).has_value();
}

}  // namespace

TEST_CASE("pax: records") {
    std::string body;
    pax_record_append("path", "a=b\nc", body);
    pax_record_append("SCHILY.xattr.user.x", std::string("\0=\n", 3), body);
    pax_record_append("size", "12", body);
    pax_record_append("unknown", "", body);
    PaxRecords records;
    REQUIRE(pax_parse(body, records));
    CHECK(records.path == "a=b\nc");
    CHECK(records.size == 12);
    REQUIRE(records.xattrs.size() == 1);
    CHECK(records.xattrs[0].name == "user.x");
    CHECK(records.xattrs[0].value == std::string("\0=\n", 3));
    // An empty value takes it back.
    REQUIRE(pax_parse("8 path=\n", records));
    CHECK_FALSE(records.path);
}

TEST_CASE("pax: a record's length counts its own digits") {
    for (std::size_t size = 1; size < 1100; ++size) {
        std::string record;
        pax_record_append("k", std::string(size, 'v'), record);
        CHECK(std::stoul(record) == record.size());
    }
}

TEST_CASE("pax: malformed records") {
    CHECK(accepted(""));
    CHECK(accepted("6 a=b\n"));
    CHECK_FALSE(accepted("7 a=b\n"));
    CHECK_FALSE(accepted("5 a=b\n"));
    CHECK_FALSE(accepted("6 a=bc"));
    CHECK_FALSE(accepted("6 abc\n"));
    CHECK_FALSE(accepted("6 =bc\n"));
    CHECK_FALSE(accepted("a=b\n"));
    CHECK_FALSE(accepted("-6 a=b\n"));
    CHECK_FALSE(accepted("99999999999999999999 a=b\n"));
    CHECK_FALSE(accepted("0 a=b\n"));
    CHECK_FALSE(accepted("3 a=b\n"));
    CHECK_FALSE(accepted(std::string("11 path=a\0b\n", 12)));
    CHECK_FALSE(accepted("11 size=-1\n"));
    CHECK_FALSE(accepted("28 size=9223372036854775808\n"));
    CHECK_FALSE(accepted("18 uid=4294967295\n"));
    CHECK_FALSE(accepted("11 mtime=x\n"));
    CHECK_FALSE(accepted("16 mtime=1.2.3\n"));
    CHECK_FALSE(accepted("12 mtime=--\n"));
    CHECK_FALSE(accepted("16 SCHILY.xattr.=\n"));
}

TEST_CASE("pax: times") {
    const auto same = [](const char* text, std::int64_t seconds, std::uint32_t nanoseconds) {
        CAPTURE(text);
        const auto time = pax_time_parse(text);
        REQUIRE(time);
        CHECK(time->seconds == seconds);
        CHECK(time->nanoseconds == nanoseconds);
    };
    same("0", 0, 0);
    same("1.5", 1, 500'000'000);
    same("1.000000001", 1, 1);
    same("1.0000000019", 1, 1);
    same("-1.75", -2, 250'000'000);
    same("-1", -1, 0);
    same("-0.25", -1, 750'000'000);
    same("5.", 5, 0);
    CHECK_FALSE(pax_time_parse(""));
    CHECK_FALSE(pax_time_parse("."));
    CHECK_FALSE(pax_time_parse("1.x"));
    for (const TarTime time : {TarTime{0, 0},
                               TarTime{-2, 250'000'000},
                               TarTime{-1, 750'000'000},
                               TarTime{12345678901, 120'000'000},
                               TarTime{-5, 0}}) {
        CHECK(pax_time_parse(pax_time_format(time)) == time);
    }
}
