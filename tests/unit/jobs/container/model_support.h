#pragma once
/// Short ways to get at configurations, for the tests of the container model.
#include <string>
#include <string_view>

#include "jobs/container/merge.h"
#include "jobs/container/record.h"
#include "tests/support/catch.h"

namespace davit::test {

inline ContainerConfig config_of(std::string_view json) {
    const auto document = JsonDocument::parse(json);
    REQUIRE(document);
    auto config = container_config_parse(document->root());
    REQUIRE(config);
    return *std::move(config);
}

/// Takes the HostConfig alone.
inline HostConfig host_config_of(std::string_view json) {
    const auto document = JsonDocument::parse(json);
    REQUIRE(document);
    auto config = host_config_parse(document->root());
    REQUIRE(config);
    return *std::move(config);
}

/// Takes a whole create body.
inline ContainerRecord record_of(std::string_view body) {
    const auto document = JsonDocument::parse(body);
    REQUIRE(document);
    ContainerRecord record;
    record.id = *ContainerId::parse(std::string(60, 'a') + "0123");
    record.name = "/brave_sloop";
    auto config = container_config_parse(document->root());
    REQUIRE(config);
    record.config = *std::move(config);
    auto host = host_config_parse(document->root().member("HostConfig"));
    REQUIRE(host);
    record.host_config = *std::move(host);
    return record;
}

/// "kind: message" of a failure, "" of a success.
template <typename T>
std::string failure(const Result<T>& result) {
    if (result) {
        return "";
    }
    return std::string(error_kind_name(result.error().kind())) + ": " + result.error().message();
}

}  // namespace davit::test
