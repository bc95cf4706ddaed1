// Goal: what is thrown away is deleted in the background, also what an earlier life left, and no
// name in the trash is taken twice. Method: a real directory and the loop; waits for drained().
#include "drivers/graph/trash.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include "reactor/loop.h"
#include "reactor/task_group.h"
#include "tests/unit/drivers/graph/driver_support.h"

using namespace davit;
using namespace davit::test;

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
