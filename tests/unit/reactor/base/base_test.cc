// Goal: the vocabulary types keep their promises. Method: values in, values out; a private
// directory for files.
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <type_traits>

#include "reactor/base/clock.h"
#include "reactor/base/digest.h"
#include "reactor/base/fd.h"
#include "reactor/base/ids.h"
#include "reactor/base/pid_ref.h"
#include "tests/support/catch.h"

using namespace davit;

static_assert(std::is_nothrow_move_constructible_v<Fd> && !std::is_copy_constructible_v<Fd>);
static_assert(std::is_nothrow_move_constructible_v<Error>);
static_assert(sizeof(Error) == sizeof(void*));

namespace {

struct TemporaryDirectory {
    TemporaryDirectory() {
        char pattern[] = "/tmp/davit-base-test-XXXXXX";
        path = ::mkdtemp(pattern);
    }

    ~TemporaryDirectory() { static_cast<void>(remove_tree(AT_FDCWD, path)); }

    std::string path;
};

Result<int> halve(int value) {
    if (value % 2 != 0) {
        return Error(ErrorKind::invalid_argument, "odd");
    }
    return value / 2;
}

Result<int> quarter(int value) {
    TRY(const int half, halve(value));
    TRY(const int result, halve(half));
    return result;
}

}  // namespace

TEST_CASE("Error tells kind, errno and contexts outermost first", "[base]") {
    Error error =
        Error::from_errno(ENOENT, "openat2", "/x").context("mount", "proc").context("start", "c1");
    CHECK(error.message() == "start c1: mount proc: openat2 /x: no such file or directory");
    CHECK(error.kind() == ErrorKind::not_found);
    CHECK(error.errno_value() == ENOENT);
    Error copy = error;
    CHECK(std::move(copy).with_kind(ErrorKind::conflict).kind() == ErrorKind::conflict);
    CHECK(error.kind() == ErrorKind::not_found);
}

TEST_CASE("TRY passes errors up", "[base]") {
    CHECK(*quarter(8) == 2);
    CHECK(quarter(6).error().message() == "odd");
}

TEST_CASE("files are replaced whole and read whole", "[base]") {
    const TemporaryDirectory dir;
    const std::string path = dir.path + "/f";
    REQUIRE(file_replace(AT_FDCWD, path, std::string(100'000, 'x')));
    CHECK(file_read(path)->size() == 100'000);
    CHECK(file_read(path, 50).error().kind() == ErrorKind::resource_exhausted);
    REQUIRE(file_replace(AT_FDCWD, path, ""));
    CHECK(file_read(path)->empty());
}

TEST_CASE("remove_tree removes everything and follows nothing", "[base]") {
    const TemporaryDirectory dir;
    REQUIRE(make_directories(dir.path + "/tree/a/b"));
    REQUIRE(file_replace(AT_FDCWD, dir.path + "/kept", "1"));
    REQUIRE(::symlink("../../kept", (dir.path + "/tree/a/link").c_str()) == 0);
    REQUIRE(::symlink("..", (dir.path + "/tree/a/up").c_str()) == 0);
    REQUIRE(remove_tree(AT_FDCWD, dir.path + "/tree"));

    struct stat info {};

    CHECK(::lstat((dir.path + "/tree").c_str(), &info) == -1);
    CHECK(::lstat((dir.path + "/kept").c_str(), &info) == 0);
    CHECK(remove_tree(AT_FDCWD, dir.path + "/tree"));
}

TEST_CASE("digests parse strictly and hash correctly", "[base]") {
    CHECK(sha256_of("").str() ==
          "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    CHECK(Digest::parse(sha256_of("a").str())->hex().size() == 64);
    for (const char* bad : {"",
                            "sha256",
                            "sha256:",
                            "sha256:ABC",
                            "md5:d41d8cd98f00b204e9800998ecf8427e",
                            "sha256:../../../../etc/passwd"}) {
        CHECK(Digest::parse(bad).error().kind() == ErrorKind::invalid_argument);
    }
}

TEST_CASE("times are printed and parsed as Go does", "[base]") {
    const WallTime time = wall_from_unix_nanoseconds(1'700'000'000'120'000'000);
    CHECK(rfc3339_nano(time) == "2023-11-14T22:13:20.12Z");
    CHECK(rfc3339_nano_fixed(time) == "2023-11-14T22:13:20.120000000Z");
    CHECK(*rfc3339_parse("2023-11-14T23:13:20.12+01:00") == time);
    CHECK(!rfc3339_parse("2023-11-14"));
    CHECK(!rfc3339_parse("2023-13-14T23:13:20Z"));
    CHECK(!rfc3339_parse("2262-04-11T23:47:17Z"));  // Beyond 64 bits of nanoseconds.
}

TEST_CASE("ids are random, full and typed", "[base]") {
    const auto id = ContainerId::generate();
    CHECK(is_full_id(id.str()));
    CHECK(id != ContainerId::generate());
    CHECK(!ContainerId::parse("abc"));
}

TEST_CASE("a PidRef reaps its child once", "[base]") {
    const pid_t pid = ::fork();
    if (pid == 0) {
        ::pause();
        ::_exit(0);
    }
    const auto child = PidRef::open(pid);
    REQUIRE(child);
    CHECK(!child->try_reap()->has_value());
    REQUIRE(child->signal(SIGKILL));
    std::optional<ExitStatus> status;
    while (!status) {
        status = *child->try_reap();
    }
    CHECK(status->shell_code() == 137);
    CHECK(child->try_reap().error().errno_value() == ECHILD);
}
