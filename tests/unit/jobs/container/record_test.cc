// Goal: a record comes back from the store as it went in, and damage is told from a later version.
// Method: round trips of full and of empty records; text cut and changed.
#include "jobs/container/record.h"

#include "tests/unit/jobs/container/create_bodies.h"
#include "tests/unit/jobs/container/model_support.h"

using namespace davit;
using namespace davit::test;

namespace {

ContainerRecord full_record() {
    ContainerRecord record = record_of(docker_cli_body);
    RunConfig image;
    image.cmd = {"sh"};
    std::vector<std::string> warnings;
    REQUIRE(container_merge(record, image, warnings));
    record.created = wall_from_unix_nanoseconds(1'700'000'000'123'456'789);
    record.image_id = Digest::from_sha256_hex(std::string(64, '1'));
    record.chain_id = Digest::from_sha256_hex(std::string(64, '2'));
    record.driver = "overlay2";
    record.state.status = ContainerState::exited;
    record.state.exit_code = 137;
    record.state.error = "a \"quoted\" line\n";
    record.state.oom_killed = true;
    record.state.started_at = wall_from_unix_nanoseconds(1'700'000'001'000'000'001);
    record.state.finished_at = wall_from_unix_nanoseconds(-1);
    record.log_path = "/data/log";
    record.files_directory = "/run/files";
    record.rw_name = "aaa";
    record.cgroup_path = "/davit/aaa";
    record.start_phases = {{"rootfs", 0, 410'000}, {"exec", 410'000, 900'000}};
    record.user = {1000, 100, {5, 6}, "/home/user"};
    EndpointSettings& endpoint = record.networks["bridge"];
    endpoint.ipam = EndpointIpam{"10.0.0.9", "", {}};
    endpoint.aliases = {"db"};
    endpoint.network_id = std::string(64, '7');
    endpoint.ip_address = "10.0.0.9";
    endpoint.ip_prefix_len = 24;
    endpoint.gw_priority = -2;
    endpoint.interface = "eth0";
    record.published["80/tcp"] = {{"0.0.0.0", "8080"}};
    record.restart_count = 3;
    record.manually_stopped = true;
    record.create_key = CreateKey{"job-7", sha256_of("request"), {"a warning", "another"}};
    return record;
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
    const std::size_t at = text.find(from);
    REQUIRE(at != std::string::npos);
    return text.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("a record reads back as written", "[container][record]") {
    const ContainerRecord record = full_record();
    const std::string text = container_record_write(record);
    const auto read = container_record_read(text);
    INFO(failure(read));
    REQUIRE(read);
    CHECK(*read == record);
    CHECK(container_record_write(*read) == text);
}

TEST_CASE("a record of a container that never ran reads back", "[container][record]") {
    ContainerRecord record = record_of("{}");
    const auto read = container_record_read(container_record_write(record));
    INFO(failure(read));
    REQUIRE(read);
    CHECK(*read == record);
    CHECK_FALSE(read->state.started_at.has_value());
    CHECK(read->image_id.empty());
    CHECK_FALSE(read->create_key.has_value());
}

TEST_CASE("every state is stored", "[container][record]") {
    ContainerRecord record = record_of("{}");
    for (std::size_t i = 0; i < container_state_count; ++i) {
        record.state.status = static_cast<ContainerState>(i);
        const auto read = container_record_read(container_record_write(record));
        REQUIRE(read);
        CHECK(read->state.status == record.state.status);
    }
}

TEST_CASE("a cut record is corrupt, wherever it is cut", "[container][record]") {
    const std::string text = container_record_write(full_record());
    for (std::size_t length = 0; length < text.size(); length += 7) {
        const auto read = container_record_read(text.substr(0, length));
        REQUIRE_FALSE(read);
        CHECK(read.error().kind() == ErrorKind::corrupt);
    }
}

TEST_CASE("a record that makes no sense is corrupt", "[container][record]") {
    const std::string text = container_record_write(full_record());
    const auto kind = [](const std::string& changed) {
        const auto read = container_record_read(changed);
        REQUIRE_FALSE(read);
        return read.error().kind();
    };
    CHECK(kind("{}") == ErrorKind::corrupt);
    CHECK(kind("[]") == ErrorKind::corrupt);
    CHECK(kind(replaced(text, "\"exited\"", "\"gone\"")) == ErrorKind::corrupt);
    CHECK(kind(replaced(text, "\"Id\":\"aaaa", "\"Id\":\"zzzz")) == ErrorKind::corrupt);
    CHECK(kind(replaced(text, "sha256:11", "sha256:1")) == ErrorKind::corrupt);
    CHECK(kind(replaced(text, "\"ExitCode\":137", "\"ExitCode\":13700000000")) ==
          ErrorKind::corrupt);
    CHECK(kind(replaced(text, "\"Mounts\":[", "\"Mounts\":[7,")) == ErrorKind::corrupt);
    CHECK(kind(replaced(text, "\"Version\":1", "\"Version\":2")) == ErrorKind::unsupported);
}
