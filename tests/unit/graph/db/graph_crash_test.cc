// Goal: whatever is done to the stores, in whatever order, and wherever the process is killed, the
// graph is consistent and every directory on disk is accounted for.
// Method: random pulls, tags and removals: once in this process against a model of names and
// images; once in a child that makes real directories and is killed after a random number of steps.
#include <dirent.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>
#include <random>
#include <set>

#include "graph/image_remove.h"
#include "tests/unit/graph/db/graph_fixture.h"

using namespace davit;
using davit::test::GraphFixture;
using davit::test::must;
using davit::test::nothing_pinned;
using davit::test::TempDir;
using davit::test::Words;

namespace {

/// The layers of the i-th image: neighbours share some, at different heights.
Words words_of(unsigned image) {
    Words words;
    for (unsigned i = 0; i <= image % 3; ++i) {
        words.push_back("diff " + std::to_string((image * 2 + i * 5) % 7));
    }
    return words;
}

std::string label_of(unsigned image) {
    return "image " + std::to_string(image);
}

std::string name_of(unsigned name) {
    return "name" + std::to_string(name) + ":t";
}

/// Which images there are and what the names mean.
struct Model {
    std::set<unsigned> images;
    std::map<unsigned, unsigned> names;

    bool is_named(unsigned image) const {
        return std::ranges::any_of(names, [&](const auto& row) { return row.second == image; });
    }

    std::set<std::string> diffs() const {
        std::set<std::string> out;
        for (const unsigned image : images) {
            const Words words = words_of(image);
            out.insert(words.begin(), words.end());
        }
        return out;
    }
};

Digest id_of(unsigned image) {
    return sha256_of(GraphFixture::config_of(label_of(image), words_of(image)));
}

void random_step(GraphFixture& graph, Model& model, std::mt19937& random) {
    const auto image = static_cast<unsigned>(random() % 8);
    const auto name = static_cast<unsigned>(random() % 6);
    switch (random() % 4) {
        case 0:
            graph.pull(label_of(image), words_of(image));
            model.images.insert(image);
            break;
        case 1:
            if (model.images.contains(image)) {
                graph.tag(name_of(name), id_of(image));
                model.names[name] = image;
            }
            break;
        case 2: {
            ImageRemove request;
            request.text = name_of(name);
            request.pinned = nothing_pinned;
            const auto removed =
                graph.db->update([&](WriteTxn& txn) { return image_remove(txn, request); });
            REQUIRE(removed.has_value() == model.names.contains(name));
            if (removed) {
                const unsigned named = model.names[name];
                model.names.erase(name);
                if (!model.is_named(named)) {
                    model.images.erase(named);
                }
            }
            break;
        }
        default: {
            ImageRemove request;
            request.text = id_of(image).str();
            request.force = true;
            request.pinned = nothing_pinned;
            const auto removed =
                graph.db->update([&](WriteTxn& txn) { return image_remove(txn, request); });
            REQUIRE(removed.has_value() == model.images.contains(image));
            model.images.erase(image);
            std::erase_if(model.names, [&](const auto& row) { return row.second == image; });
            break;
        }
    }
}

void compare(GraphFixture& graph, const Model& model) {
    graph.check();
    REQUIRE(graph.view(image_count) == model.images.size());
    REQUIRE(graph.directories_in(LayerDirectoryState::ready) == model.diffs().size());
    REQUIRE(graph.view(reference_list).size() == model.names.size());
    for (const auto& [name, image] : model.names) {
        const auto match =
            graph.view([&](const ReadTxn& txn) { return image_resolve(txn, name_of(name)); });
        REQUIRE(match.id == id_of(image));
    }
}

}  // namespace

TEST_CASE("stores agree with a model under random operations") {
    GraphFixture graph;
    Model model;
    std::mt19937 random(11);
    for (int step = 0; step < 600; ++step) {
        random_step(graph, model, random);
        if (step % 20 == 0) {
            compare(graph, model);
        }
    }
    graph.open();
    compare(graph, model);
    const Words garbage =
        graph.update([](WriteTxn& txn) { return graph_recover(txn, nothing_pinned); });
    CHECK(garbage.size() == graph.directories_in(LayerDirectoryState::deleting));
    compare(graph, model);
}

namespace {

/// A small engine: the database and the directories, handled in the order that a daemon would.
class Engine {
  public:
    explicit Engine(const std::string& root) : layers_(root + "/layers") {
        must(make_directories(layers_));
        GraphDbOptions options;
        options.directory = root + "/graph";
        db_ = must(GraphDb::open(options));
    }

    GraphDb& db() { return *db_; }

    void recover() {
        remove_directories(
            must(db_->update([](WriteTxn& txn) { return graph_recover(txn, nothing_pinned); })));
    }

    void pull(unsigned image) {
        const std::vector<Digest> diffs = GraphFixture::diffs_of(words_of(image));
        const std::string lease = must(db_->update(lease_create));
        for (const LayerPlace& place : layer_places(diffs)) {
            unpack(lease, place);
        }
        remove_directories(must(db_->update([&](WriteTxn& txn) -> Result<Words> {
            ImagePut put;
            put.config = GraphFixture::config_of(label_of(image), words_of(image));
            TRY(const ImageRecord record, image_put(txn, put));
            TRY(const Reference name, Reference::parse(name_of(image % 4)));
            TRY_VOID(reference_set(txn, name, record.id));
            return lease_release(txn, lease);
        })));
    }

    void remove(unsigned image) {
        ImageRemove request;
        request.text = id_of(image).str();
        request.force = true;
        request.pinned = nothing_pinned;
        auto removed = db_->update([&](WriteTxn& txn) { return image_remove(txn, request); });
        if (removed) {
            remove_directories(removed->directories);
        }
    }

    std::set<std::string> on_disk() const {
        std::set<std::string> names;
        DIR* directory = ::opendir(layers_.c_str());
        REQUIRE(directory != nullptr);
        while (const dirent* entry = ::readdir(directory)) {
            if (entry->d_name[0] != '.') {
                names.insert(entry->d_name);
            }
        }
        ::closedir(directory);
        return names;
    }

  private:
    void unpack(const std::string& lease, const LayerPlace& place) {
        if (must(db_->update([&](WriteTxn& txn) { return lease_hold(txn, lease, place); }))) {
            return;
        }
        LayerPublish publish;
        publish.cache_id = must(db_->update(layer_stage));
        publish.lease = lease;
        publish.place = place;
        REQUIRE(::mkdir((layers_ + "/" + publish.cache_id).c_str(), 0700) == 0);
        must(db_->update([&](WriteTxn& txn) { return layer_publish(txn, publish); }));
    }

    void remove_directories(const Words& cache_ids) {
        for (const std::string& cache_id : cache_ids) {
            ::rmdir((layers_ + "/" + cache_id).c_str());
            must(db_->update([&](WriteTxn& txn) { return layer_forget(txn, cache_id); }));
        }
    }

    std::string layers_;
    std::unique_ptr<GraphDb> db_;
};

[[noreturn]] void work_until_killed(const std::string& root, unsigned seed, int pipe_fd) {
    Engine engine(root);
    engine.recover();
    std::mt19937 random(seed);
    for (;;) {
        const auto image = static_cast<unsigned>(random() % 8);
        random() % 3 != 0 ? engine.pull(image) : engine.remove(image);
        if (::write(pipe_fd, "x", 1) != 1) {
            ::_exit(1);
        }
    }
}

/// Let a child work for some steps, then kill it wherever it is.
void run_and_kill(const std::string& root, unsigned seed) {
    Pipe pipe = must(pipe_make());
    const pid_t child = ::fork();
    if (child == 0) {
        work_until_killed(root, seed, pipe.write_end.get());
    }
    pipe.write_end.reset();
    char byte = 0;
    for (unsigned step = 0; step < 3 + seed % 4; ++step) {
        REQUIRE(::read(pipe.read_end.get(), &byte, 1) == 1);
    }
    REQUIRE(::kill(child, SIGKILL) == 0);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFSIGNALED(status));
}

void check_after_kill(const std::string& root) {
    Engine engine(root);
    const Words wrong = must(engine.db().view(graph_check));
    INFO((wrong.empty() ? std::string() : wrong.front()));
    REQUIRE(wrong.empty());
    const std::set<std::string> before = engine.on_disk();
    const Words names(before.begin(), before.end());
    REQUIRE(must(engine.db().view([&](const ReadTxn& txn) {
                return layer_directories_unknown(txn, names);
            })).empty());
    engine.recover();
    std::set<std::string> ready;
    for (const LayerDirectory& directory : must(engine.db().view(layer_directories))) {
        REQUIRE(directory.state == LayerDirectoryState::ready);
        ready.insert(directory.cache_id);
    }
    REQUIRE(engine.on_disk() == ready);
    REQUIRE(must(engine.db().view(graph_check)).empty());
}

}  // namespace

TEST_CASE("stores killed at any moment recover to a consistent state") {
    const TempDir dir;
    for (unsigned seed = 0; seed < 12; ++seed) {
        run_and_kill(dir.path(), seed);
        check_after_kill(dir.path());
    }
}
