// Goal: a volume's record is read as it was written, and what is no record is told from one.
#include "graph/volume_store.h"

#include "tests/unit/graph/db/graph_fixture.h"

using namespace davit;
using davit::test::GraphFixture;

namespace {

VolumeRecord volume(const std::string& name) {
    VolumeRecord record;
    record.name = name;
    record.created = wall_from_unix_nanoseconds(1'700'000'000'123'456'789);
    return record;
}

Result<void> put(WriteTxn& txn, const VolumeRecord& record) {
    return volume_put(txn, record);
}

}  // namespace

TEST_CASE("volumes are kept by name", "[volumes]") {
    GraphFixture graph;
    VolumeRecord full = volume("b");
    full.labels = {{"k", "v"}, {"empty", ""}};
    full.options = {{"type", "nfs"}, {"o", "addr=1.2.3.4,rw"}, {"device", ":/x"}};
    graph.update([&](WriteTxn& txn) { return put(txn, full); });
    graph.update([&](WriteTxn& txn) { return put(txn, volume("a")); });
    CHECK(graph.view(volume_list) == std::vector<VolumeRecord>{volume("a"), full});
    full.labels.clear();
    graph.update([&](WriteTxn& txn) { return put(txn, full); });
    graph.open();
    CHECK(graph.view(volume_list) == std::vector<VolumeRecord>{volume("a"), full});
    CHECK(graph.update([](WriteTxn& txn) { return volume_erase(txn, "a"); }));
    CHECK_FALSE(graph.update([](WriteTxn& txn) { return volume_erase(txn, "a"); }));
    CHECK(graph.view(volume_list) == std::vector<VolumeRecord>{full});
}

TEST_CASE("a record that was cut is corrupt", "[volumes]") {
    GraphFixture graph;
    graph.update([](WriteTxn& txn) { return txn.put(Table::volumes, "a", "\x01\x20loc"); });
    const auto listed = graph.db->view(volume_list);
    REQUIRE_FALSE(listed);
    CHECK(listed.error().kind() == ErrorKind::corrupt);
}
