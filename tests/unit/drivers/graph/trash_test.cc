// Goal: what is thrown away is deleted in the background, also what an earlier life left, and no
// name in the trash is taken twice. Method: a real directory and the loop; waits for drained(). A
// disk without room for one name more in the trash is made by standing in for renameat2(2).
#include "drivers/graph/trash.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "reactor/loop.h"
#include "reactor/task_group.h"
#include "tests/unit/drivers/graph/driver_support.h"

using namespace davit;
using namespace davit::test;

namespace {

int rename_error = 0;

}  // namespace

extern "C" int renameat2(
    int from, const char* old, int to, const char* path, unsigned flags) noexcept {
    if (rename_error != 0) {
        errno = rename_error;
        return -1;
    }
    return static_cast<int>(::syscall(SYS_renameat2, from, old, to, path, flags));
}

namespace {

struct Bin {
    TempDir root;
    Fd dir;
    std::unique_ptr<TrashBin> bin;

    Bin() {
        REQUIRE(make_directories(root.path() + "/trash"));
        dir = must(Fd::open(root.path(), O_RDONLY | O_DIRECTORY));
        bin = must(TrashBin::open(must(Fd::open(root.path() + "/trash", O_RDONLY | O_DIRECTORY))));
    }

    void tree(const std::string& name) const {
        REQUIRE(make_directories(root.path() + "/" + name + "/a/b"));
        REQUIRE(file_replace(AT_FDCWD, root.path() + "/" + name + "/a/file", "x"));
    }

    std::vector<std::string> left() const { return names_in(root.path() + "/trash"); }
};

Task<void> beside_run(TrashBin& bin, Task<void> work) {
    TaskGroup group(GroupPolicy::independent);
    group.spawn(bin.run());
    Result<void> done = co_await std::move(work);
    group.cancel();
    static_cast<void>(co_await group.join());
    co_return std::move(done);
}

}  // namespace

TEST_CASE("what is thrown away goes, in the background", "[trash]") {
    Loop loop;
    Bin test;
    test.tree("trash/99");  // Of an earlier life.
    test.tree("one");
    test.tree("two");
    auto work = [](const Bin& there) -> Task<void> {
        CO_CHECK(there.bin->take(there.dir.get(), "one"));
        CO_CHECK(co_await there.bin->drained());
        CO_CHECK(there.bin->take(there.dir.get(), "two"));
        CO_CHECK(there.bin->take(there.dir.get(), "two").has_value()
                     ? Result<void>(Error(ErrorKind::internal, "taken twice"))
                     : Result<void>(ok));
        co_return co_await there.bin->drained();
    };
    CHECK(loop.run(beside_run(*test.bin, work(test))));
    CHECK(test.left().empty());
    CHECK(names_in(test.root.path()) == std::vector<std::string>{"trash"});
}

TEST_CASE("what the trash has no room for goes from its place", "[trash]") {
    Loop loop;
    Bin test;
    test.tree("layers/one");
    test.tree("layers/two");
    test.tree("layers/stays");
    auto work = [](const Bin& there) -> Task<void> {
        for (const int error : {ENOSPC, EDQUOT}) {
            rename_error = error;
            const std::string path = error == ENOSPC ? "layers/one" : "layers/two";
            const Result<void> taken = there.bin->take(there.dir.get(), path);
            rename_error = 0;
            CO_CHECK(taken);
            CHECK(there.bin->is_leaving(path));
            CO_CHECK(co_await there.bin->drained());
            CHECK_FALSE(there.bin->is_leaving(path));
        }
        rename_error = EIO;
        const Result<void> refused = there.bin->take(there.dir.get(), "layers/stays");
        rename_error = 0;
        CHECK_FALSE(refused);
        co_return ok;
    };
    CHECK(loop.run(beside_run(*test.bin, work(test))));
    CHECK(names_in(test.root.path() + "/layers") == std::vector<std::string>{"stays"});

    rename_error = ENOSPC;
    CHECK(test.bin->take(test.dir.get(), "layers/stays"));
    rename_error = 0;
    CHECK(test.bin->empty_now());
    CHECK(names_in(test.root.path() + "/layers").empty());
}

TEST_CASE("numbers that are taken are skipped", "[trash]") {
    Loop loop;
    Bin test;
    test.tree("trash/1");
    test.tree("trash/2");
    test.tree("one");
    REQUIRE(test.bin->take(test.dir.get(), "one"));
    CHECK(test.left() == std::vector<std::string>{"1", "2", "3"});
    REQUIRE(test.bin->empty_now());
    CHECK(test.left().empty());
}

TEST_CASE("a trash that cannot be listed for a moment is looked at again", "[trash]") {
    Loop loop;
    static_cast<void>(loop.bulk());  // It needs a descriptor; a daemon has it from the start.
    Bin test;
    test.tree("one");
    rlimit limit{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
    rlimit none = limit;
    none.rlim_cur = static_cast<rlim_t>(must(Fd::open("/", O_RDONLY)).get());  // The next number.
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
    auto work = [](const Bin& there, const rlimit& enough) -> Task<void> {
        CO_CHECK(co_await there.bin->drained());  // As far as it could be seen.
        ::setrlimit(RLIMIT_NOFILE, &enough);
        CO_CHECK(there.bin->take(there.dir.get(), "one"));
        co_return co_await there.bin->drained();
    };
    CHECK(loop.run(beside_run(*test.bin, work(test, limit))));
    CHECK(test.left().empty());
}
