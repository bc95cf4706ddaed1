/// Goal: of all that ps shows exactly a container's processes are left, whatever columns it has.
#include "jobs/container/process_list.h"

#include <unistd.h>

#include "tests/support/catch.h"

namespace davit {

namespace {

using Row = std::vector<std::string>;

}  // namespace

TEST_CASE("the lines of a container's processes", "[container][top]") {
    const auto list = ps_output_parse(
        "UID          PID    PPID  C STIME TTY          TIME CMD\n"
        "root           1       0  0 10:00 ?        00:00:01 /sbin/init splash\n"
        "root        4242    4000  0 10:01 pts/0    00:00:00 sh -c  sleep 5; true\n"
        "4711        4243    4242  1 10:01 pts/0    00:00:00 sleep 5\n\n",
        {4242, 4243});
    REQUIRE(list);
    CHECK(list->titles == Row{"UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"});
    REQUIRE(list->processes.size() == 2);
    CHECK(list->processes[0] ==
          Row{"root", "4242", "4000", "0", "10:01", "pts/0", "00:00:00", "sh -c sleep 5; true"});
    CHECK(list->processes[1].back() == "sleep 5");
}

TEST_CASE("threads follow their process", "[container][top]") {
    const auto list = ps_output_parse(
        "  PID   LWP COMMAND\n  10   -  a\n   -  10 -\n  11   -  b\n   -  11 -\n   -  12 -\n",
        {11});
    REQUIRE(list);
    CHECK(list->processes ==
          std::vector<Row>{{"11", "-", "b"}, {"-", "11", "-"}, {"-", "12", "-"}});
}

TEST_CASE("output that does not tell processes apart", "[container][top]") {
    const auto none = ps_output_parse("USER COMMAND\nroot init\n", {1});
    REQUIRE_FALSE(none);
    CHECK(none.error().message() == "Couldn't find PID field in ps output");
    CHECK_FALSE(ps_output_parse("PID CMD\nx y\n", {1}));
    CHECK_FALSE(ps_output_parse("", {1}));
    const auto short_line = ps_output_parse("CMD PID\nonly\n", {1});
    REQUIRE(short_line);
    CHECK(short_line->processes.empty());
}

TEST_CASE("no other column passes for the pid", "[container][top]") {
    CHECK(ps_arguments_check("-ef"));
    CHECK(ps_arguments_check("-o pid,args"));
    CHECK(ps_arguments_check("-o pid=PID"));
    CHECK(ps_arguments_check("-o user=WHO"));
    const auto refused = ps_arguments_check("-o user=PID");
    REQUIRE_FALSE(refused);
    CHECK(refused.error().message() == "specifying \"user=PID\" is not allowed");
    CHECK_FALSE(ps_arguments_check("aux -o ppid= PIDx"));
}

TEST_CASE("a list without ps", "[container][top]") {
    const auto list = process_list_read({::getpid(), 0x3ffffff});
    REQUIRE(list);
    REQUIRE(list->processes.size() == 1);
    const Row& row = list->processes.front();
    REQUIRE(row.size() == list->titles.size());
    CHECK(row[1] == std::to_string(::getpid()));
    CHECK(row[2] == std::to_string(::getppid()));
    CHECK(row[6].size() == 8);
    CHECK_THAT(row[7], Catch::Matchers::Contains("container_model_test"));
}

}  // namespace davit
