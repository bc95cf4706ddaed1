// Goal: a GraphDb keeps what was committed and nothing else, whatever happens: failing functions,
// a full map, readers beside the writer, a killed process, an older or a newer schema.
// Method: small databases in a directory of their own; a forked child for the kill and the lock.
#include "graph/graph_db.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <future>
#include <thread>

#include "graph/data_root_lock.h"
#include "graph/record.h"
#include "tests/unit/graph/db/temp_dir.h"

using namespace davit;
using davit::test::must;
using davit::test::TempDir;

namespace {

GraphDbOptions options_in(const TempDir& dir) {
    GraphDbOptions options;
    options.directory = dir.path() + "/graph";
    return options;
}

std::string read(const GraphDb& db, std::string_view key) {
    return must(db.view([key](const ReadTxn& txn) -> Result<std::string> {
        TRY(const std::optional<std::string_view> value, txn.get(Table::images, key));
        return std::string(value.value_or("<none>"));
    }));
}

void write(GraphDb& db, std::string_view key, std::string_view value) {
    must(db.update([&](WriteTxn& txn) { return txn.put(Table::images, key, value); }));
}

std::vector<std::string> keys_from(const GraphDb& db, std::string_view prefix) {
    return must(db.view([prefix](const ReadTxn& txn) -> Result<std::vector<std::string>> {
        std::vector<std::string> keys;
        TRY_VOID(txn.scan(Table::images, prefix, [&](std::string_view key, auto) -> Result<bool> {
            keys.emplace_back(key);
            return true;
        }));
        return keys;
    }));
}

}  // namespace

TEST_CASE("graph db keeps commits over a reopen and drops failed updates") {
    const TempDir dir;
    {
        const auto db = must(GraphDb::open(options_in(dir)));
        write(*db, "a", "1");
        const Result<void> failed = db->update([](WriteTxn& txn) -> Result<void> {
            TRY_VOID(txn.put(Table::images, "a", "2"));
            return Error(ErrorKind::conflict, "changed my mind");
        });
        REQUIRE_FALSE(failed);
        CHECK(failed.error().message() == "changed my mind");
        CHECK(read(*db, "a") == "1");
    }
    const auto db = must(GraphDb::open(options_in(dir)));
    CHECK(read(*db, "a") == "1");
}

TEST_CASE("graph db gives what the function returns") {
    const TempDir dir;
    const auto db = must(GraphDb::open(options_in(dir)));
    const Result<int> seven = db->update([](WriteTxn&) -> Result<int> { return 7; });
    CHECK(*seven == 7);
}

TEST_CASE("graph db keys: order, prefixes, bounds") {
    const TempDir dir;
    const auto db = must(GraphDb::open(options_in(dir)));
    for (const char* key : {"b/2", "a/1", "b/1", "c", "b"}) {
        write(*db, key, "x");
    }
    CHECK(keys_from(*db, "b/") == std::vector<std::string>{"b/1", "b/2"});
    CHECK(keys_from(*db, "") == std::vector<std::string>{"a/1", "b", "b/1", "b/2", "c"});
    CHECK(keys_from(*db, "d").empty());
    CHECK(read(*db, "") == "<none>");
    CHECK(read(*db, std::string(512, 'k')) == "<none>");
    write(*db, std::string(511, 'k'), "longest");
    CHECK(read(*db, std::string(511, 'k')) == "longest");
    const Result<void> too_long = db->update(
        [](WriteTxn& txn) { return txn.put(Table::images, std::string(512, 'k'), "x"); });
    CHECK(too_long.error().kind() == ErrorKind::invalid_argument);
    must(db->update([](WriteTxn& txn) -> Result<void> {
        CHECK_FALSE(must(txn.insert(Table::images, "c", "y")));
        CHECK(must(txn.insert(Table::images, "new", "y")));
        CHECK(must(txn.erase(Table::images, "new")));
        CHECK_FALSE(must(txn.erase(Table::images, "new")));
        CHECK(must(txn.count(Table::images)) == 6);
        CHECK(must(txn.count(Table::layers)) == 0);
        return ok;
    }));
    CHECK(read(*db, "c") == "x");
}

TEST_CASE("graph db batch rolls back a failing function alone") {
    const TempDir dir;
    const auto db = must(GraphDb::open(options_in(dir)));
    const auto first = [](WriteTxn& txn) { return txn.put(Table::images, "first", "1"); };
    const auto failing = [](WriteTxn& txn) -> Result<void> {
        TRY_VOID(txn.put(Table::images, "first", "spoilt"));
        TRY_VOID(txn.put(Table::images, "never", "x"));
        return Error(ErrorKind::not_found, "no");
    };
    const auto third = [](WriteTxn& txn) -> Result<void> {
        TRY(const auto seen, txn.get(Table::images, "first"));
        return txn.put(Table::images, "third", std::string(seen.value_or("lost")));
    };
    const std::vector<GraphDb::Update> updates = {first, failing, third};
    const std::vector<Result<void>> results = db->commit_batch(updates);
    REQUIRE(results.size() == 3);
    CHECK(results[0]);
    CHECK(results[1].error().kind() == ErrorKind::not_found);
    CHECK(results[2]);
    CHECK(read(*db, "first") == "1");
    CHECK(read(*db, "never") == "<none>");
    CHECK(read(*db, "third") == "1");
}

TEST_CASE("graph db map grows under updates, batches and open readers") {
    const TempDir dir;
    GraphDbOptions options = options_in(dir);
    options.map_bytes = 256 * 1024;
    const auto db = must(GraphDb::open(options));
    const std::string value(10000, 'v');

    std::atomic<bool> stop = false;
    std::atomic<int> wrong = 0;
    std::thread reader([&] {
        while (!stop) {
            const auto whole = db->view([&](const ReadTxn& txn) -> Result<bool> {
                bool good = true;
                TRY_VOID(
                    txn.scan(Table::images, "k", [&](auto, std::string_view got) -> Result<bool> {
                        good = good && got == value;
                        return true;
                    }));
                return good;
            });
            wrong += whole && *whole ? 0 : 1;
        }
    });
    int runs = 0;
    must(db->update([&](WriteTxn& txn) -> Result<void> {
        ++runs;
        for (int i = 0; i < 200; ++i) {
            TRY_VOID(txn.put(Table::images, "k" + std::to_string(i), value));
        }
        return ok;
    }));
    CHECK(runs > 1);
    const auto more = [&](WriteTxn& txn) -> Result<void> {
        for (int i = 1000; i < 1400; ++i) {
            TRY_VOID(txn.put(Table::images, "k" + std::to_string(i), value));
        }
        return ok;
    };
    const auto other = [&](WriteTxn& txn) { return txn.put(Table::images, "o", "x"); };
    const std::vector<GraphDb::Update> updates = {other, more, other};
    for (const Result<void>& result : db->commit_batch(updates)) {
        CHECK(result);
    }
    stop = true;
    reader.join();
    CHECK(wrong == 0);
    CHECK(db->map_bytes() > 256 * 1024);
    CHECK(keys_from(*db, "k").size() == 600);
}

TEST_CASE("graph db does not move the map under an open view") {
    const TempDir dir;
    GraphDbOptions options = options_in(dir);
    options.map_bytes = 256 * 1024;
    const auto db = must(GraphDb::open(options));
    write(*db, "seen", std::string(1000, 's'));

    std::promise<void> viewing;
    std::promise<void> ran_once;
    std::promise<void> ran_again;
    std::atomic<bool> in_view = true;
    std::atomic<bool> intact = false;
    std::thread reader([&] {
        const auto seen = db->view([&](const ReadTxn& txn) -> Result<bool> {
            TRY(const auto value, txn.get(Table::images, "seen"));
            viewing.set_value();
            ran_once.get_future().wait();
            // The map is full now. Stay, in case nobody waits for us to leave.
            ran_again.get_future().wait_for(std::chrono::milliseconds(200));
            const bool same = value && *value == std::string(1000, 's');
            in_view = false;
            return same;
        });
        intact = seen && *seen;
    });
    viewing.get_future().wait();
    int runs = 0;
    bool moved_under_view = false;
    must(db->update([&](WriteTxn& txn) -> Result<void> {
        if (++runs == 2) {
            moved_under_view = in_view;
            ran_again.set_value();
        }
        Result<void> filled;
        for (int i = 0; i < 40 && filled; ++i) {
            filled = txn.put(Table::images, "k" + std::to_string(i), std::string(10000, 'v'));
        }
        if (runs == 1) {
            ran_once.set_value();
        }
        return filled;
    }));
    reader.join();
    CHECK(runs > 1);
    CHECK_FALSE(moved_under_view);
    CHECK(intact);
}

TEST_CASE("graph db at its largest size refuses and keeps working") {
    const TempDir dir;
    GraphDbOptions options = options_in(dir);
    options.map_bytes = 512 * 1024;
    options.map_bytes_max = 1024 * 1024;
    const auto db = must(GraphDb::open(options));
    write(*db, "before", "x");
    const Result<void> full = db->update([](WriteTxn& txn) -> Result<void> {
        for (int i = 0; i < 1000; ++i) {
            TRY_VOID(txn.put(Table::images, "k" + std::to_string(i), std::string(10000, 'v')));
        }
        return ok;
    });
    REQUIRE_FALSE(full);
    CHECK(full.error().kind() == ErrorKind::resource_exhausted);
    CHECK(read(*db, "before") == "x");
    write(*db, "after", "y");
    CHECK(read(*db, "after") == "y");
}

TEST_CASE("graph db reopens a grown database in its default map") {
    const TempDir dir;
    GraphDbOptions options = options_in(dir);
    options.map_bytes = 256 * 1024;
    {
        const auto db = must(GraphDb::open(options));
        for (int i = 0; i < 100; ++i) {
            write(*db, "k" + std::to_string(i), std::string(10000, 'v'));
        }
    }
    const auto db = must(GraphDb::open(options));
    CHECK(keys_from(*db, "k").size() == 100);
    write(*db, "more", std::string(500000, 'm'));
}

namespace {

/// Child: commits key pairs that must always be seen together, until it is killed. Tells through
/// the pipe how many commits were answered.
[[noreturn]] void commit_until_killed(const GraphDbOptions& options, int pipe_fd) {
    auto opened = GraphDb::open(options);
    for (std::uint64_t round = 1; opened; ++round) {
        const std::string text = std::to_string(round);
        const Result<void> done = (*opened)->update([&](WriteTxn& txn) -> Result<void> {
            TRY_VOID(txn.put(Table::images, "left", text));
            TRY_VOID(txn.put(Table::images, "pad" + text, std::string(3000, 'p')));
            return txn.put(Table::images, "right", text);
        });
        if (!done || ::write(pipe_fd, &round, sizeof round) != sizeof round) {
            break;
        }
    }
    ::_exit(1);
}

}  // namespace

TEST_CASE("graph db survives kill -9 in the middle of updates") {
    const TempDir dir;
    const GraphDbOptions options = options_in(dir);
    std::uint64_t answered = 0;
    for (int kill_round = 0; kill_round < 5; ++kill_round) {
        Pipe pipe = must(pipe_make());
        const pid_t child = ::fork();
        if (child == 0) {
            commit_until_killed(options, pipe.write_end.get());
        }
        pipe.write_end.reset();
        std::uint64_t round = 0;
        for (int i = 0; i < 7 + kill_round * 5; ++i) {
            REQUIRE(::read(pipe.read_end.get(), &round, sizeof round) == sizeof round);
        }
        REQUIRE(::kill(child, SIGKILL) == 0);
        while (::read(pipe.read_end.get(), &round, sizeof round) == sizeof round) {
        }
        int status = 0;
        REQUIRE(::waitpid(child, &status, 0) == child);
        REQUIRE(WIFSIGNALED(status));
        answered = round;

        const auto db = must(GraphDb::open(options));
        const std::string left = read(*db, "left");
        REQUIRE(left == read(*db, "right"));
        // The last commit may have reached the disk without its answer.
        REQUIRE((left == std::to_string(answered) || left == std::to_string(answered + 1)));
        REQUIRE(read(*db, "pad" + left).size() == 3000);
    }
}

namespace {

/// What LMDB writes its meta pages through: the one descriptor that syncs by itself. Replaced by
/// one that cannot be written, it fails as a disk would, and LMDB says MDB_PANIC from then on.
void break_meta_writes(const std::string& directory) {
    const std::string file = directory + "/data.mdb";
    const int reading = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
    REQUIRE(reading >= 0);
    int broken = 0;
    for (int fd = 3; fd < 256; ++fd) {
        const int flags = ::fcntl(fd, F_GETFL);
        char target[512] = {};
        const std::string link = "/proc/self/fd/" + std::to_string(fd);
        const bool ours = ::readlink(link.c_str(), target, sizeof(target) - 1) > 0 &&
                          std::string_view(target) == file;
        if (flags >= 0 && (flags & O_DSYNC) != 0 && ours) {
            REQUIRE(::dup3(reading, fd, O_CLOEXEC) == fd);
            ++broken;
        }
    }
    ::close(reading);
    REQUIRE(broken == 1);
}

}  // namespace

TEST_CASE("graph db works again after LMDB has given up") {
    const TempDir dir;
    GraphDbOptions options;
    options.directory = dir.path() + "/graph";
    const auto db = must(GraphDb::open(options));
    const auto put = [&](const std::string& key) {
        return db->update(
            [&](WriteTxn& txn) -> Result<void> { return txn.put(Table::references, key, "v"); });
    };
    const auto has = [&](const std::string& key) {
        return db->view([&](const ReadTxn& txn) { return txn.contains(Table::references, key); });
    };
    REQUIRE(put("before"));

    SECTION("an update comes first") {
        break_meta_writes(options.directory);
        CHECK_FALSE(put("lost"));
        REQUIRE(put("after"));
        CHECK(must(has("after")));
    }
    SECTION("a view comes first") {
        break_meta_writes(options.directory);
        CHECK_FALSE(put("lost"));
        CHECK(must(has("before")));
        REQUIRE(put("after"));
    }
    SECTION("a view is open meanwhile, and another inside it") {
        break_meta_writes(options.directory);
        std::thread writer;
        const auto outer = db->view([&](const ReadTxn& txn) -> Result<bool> {
            writer = std::thread([&] { static_cast<void>(put("lost")); });
            writer.join();
            writer = std::thread([&] { static_cast<void>(put("after")); });  // Waits for us.
            CHECK_FALSE(has("before"));
            return txn.contains(Table::references, "before");
        });
        CHECK(must(outer));
        writer.join();
        CHECK(must(has("after")));
    }
    SECTION("again and again") {
        for (int i = 0; i < 20; ++i) {
            break_meta_writes(options.directory);
            CHECK_FALSE(put("lost"));
            REQUIRE(put("key" + std::to_string(i)));
        }
    }
    CHECK(must(has("before")));
}

TEST_CASE("graph db descriptors do not leak into programs that are run") {
    const TempDir dir;
    const auto db = must(GraphDb::open(options_in(dir)));
    for (int fd = 0; fd < 256; ++fd) {
        std::string target(4096, '\0');
        const ssize_t size = ::readlink(
            ("/proc/self/fd/" + std::to_string(fd)).c_str(), target.data(), target.size());
        target.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
        if (target.starts_with(dir.path())) {
            INFO(target);
            CHECK((::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
        }
    }
}

TEST_CASE("graph db volatile keeps its commits over a reopen") {
    const TempDir dir;
    GraphDbOptions options = options_in(dir);
    options.durability = Durability::volatile_;
    {
        const auto db = must(GraphDb::open(options));
        write(*db, "a", "1");
    }
    CHECK(read(*must(GraphDb::open(options)), "a") == "1");
}

namespace {

Result<void> migrate_1(WriteTxn& txn) {
    return txn.put(Table::images, "migrated", "1");
}

Result<void> migrate_2(WriteTxn& txn) {
    TRY(const bool first_ran, txn.contains(Table::images, "migrated"));
    return txn.put(Table::images, "migrated", first_ran ? "1,2" : "2");
}

Result<void> migrate_badly(WriteTxn& txn) {
    TRY_VOID(txn.put(Table::images, "migrated", "half"));
    return Error(ErrorKind::corrupt, "what is this");
}

}  // namespace

TEST_CASE("graph db migrates step by step, wholly or not at all") {
    const TempDir dir;
    GraphDbOptions options = options_in(dir);
    must(GraphDb::open(options));

    const std::array<Migration, 2> failing = {migrate_1, migrate_badly};
    options.schema = SchemaPlan{3, failing};
    const auto failed = GraphDb::open(options);
    REQUIRE_FALSE(failed);
    CHECK(failed.error().message() ==
          "open database " + options.directory + ": migrate schema from version 2: what is this");

    options.schema = SchemaPlan{};
    CHECK(read(*must(GraphDb::open(options)), "migrated") == "<none>");

    const std::array<Migration, 2> good = {migrate_1, migrate_2};
    options.schema = SchemaPlan{3, good};
    CHECK(read(*must(GraphDb::open(options)), "migrated") == "1,2");
    write(*must(GraphDb::open(options)), "migrated", "once");
    CHECK(read(*must(GraphDb::open(options)), "migrated") == "once");

    options.schema = SchemaPlan{};
    const auto older = GraphDb::open(options);
    REQUIRE_FALSE(older);
    CHECK(older.error().kind() == ErrorKind::unsupported);
}

TEST_CASE("data root lock names the daemon that holds it") {
    const TempDir dir;
    Pipe ready = must(pipe_make());
    Pipe stop = must(pipe_make());
    const pid_t child = ::fork();
    if (child == 0) {
        stop.write_end.reset();
        const auto lock = DataRootLock::acquire(dir.path());
        char byte = lock ? 'y' : 'n';
        if (::write(ready.write_end.get(), &byte, 1) == 1) {
            [[maybe_unused]] const ssize_t end = ::read(stop.read_end.get(), &byte, 1);
        }
        ::_exit(0);
    }
    ready.write_end.reset();
    char byte = 'n';
    REQUIRE(::read(ready.read_end.get(), &byte, 1) == 1);
    REQUIRE(byte == 'y');
    const auto refused = DataRootLock::acquire(dir.path());
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind() == ErrorKind::conflict);
    CHECK(refused.error().message() == "data root " + dir.path() +
                                           " is in use by another davit daemon (pid " +
                                           std::to_string(child) + ")");
    stop.write_end.reset();
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(DataRootLock::acquire(dir.path()));
}
