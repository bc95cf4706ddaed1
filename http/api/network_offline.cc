#include "http/api/network_offline.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <optional>

#include "drivers/graph/select.h"
#include "drivers/net/uninstall.h"
#include "graph/container_store.h"
#include "graph/data_root_lock.h"
#include "http/api/keeper_upgrade.h"
#include "http/json_writer.h"
#include "jobs/container/record.h"
#include "jobs/network/networks.h"
#include "reactor/offload.h"

namespace davit {

namespace {

/// What the daemon of a data root calls itself: Daemon::id.
Result<std::string> owner_of(const std::string& data_root) {
    Result<std::string> id = file_read(data_root + "/engine-id");
    if (!id && id.error().kind() == ErrorKind::not_found) {
        return Error(ErrorKind::not_found, "no davit daemon has ever used " + data_root);
    }
    return id;
}

/// Whether a container's process runs: what its record says may be of before.
bool is_alive(const ContainerRecord& record) {
    const std::string process = "/proc/" + std::to_string(record.state.pid);
    const auto cgroup = file_read(process + "/cgroup");
    std::array<char, 64> netns{};  // One that nobody has reaped yet is in none.
    return cgroup && cgroup->find(record.id.str()) != std::string::npos &&
           ::readlink((process + "/ns/net").c_str(), netns.data(), netns.size()) > 0;
}

/// Names of the containers in a database that have one of these endpoints, or whose links hang on
/// one of the host's: those are in no list of the host's.
Result<void> users_add(std::vector<std::string>& names,
                       const std::string& directory,
                       Durability durability,
                       const std::vector<std::string>& endpoints) {
    if (::access(directory.c_str(), F_OK) != 0) {
        return ok;  // Opening would make it.
    }
    GraphDbOptions options;
    options.directory = directory;
    options.durability = durability;
    TRY(const auto db, GraphDb::open(std::move(options)));
    TRY(const std::vector<ContainerEntry> entries,
        db->view([](const ReadTxn& txn) { return container_list(txn); }));
    for (const ContainerEntry& entry : entries) {
        const Result<ContainerRecord> record = container_record_read(entry.record);
        const auto is_used = [&](const auto& item) {
            const EndpointSettings& settings = item.second;
            return std::ranges::find(endpoints, settings.endpoint_id) != endpoints.end() ||
                   (!settings.interface.empty() && is_alive(*record));
        };
        const bool uses = record && std::ranges::any_of(record->networks, is_used);
        if (uses) {
            names.push_back(record->name.empty() ? entry.id.short_id() : record->name.substr(1));
        }
    }
    return ok;
}

/// For people: the containers, or, if the records do not tell, the endpoints.
std::vector<std::string> users_of(const NetworkUninstallRequest& request,
                                  const std::vector<std::string>& endpoints) {
    std::vector<std::string> names;
    const Result<GraphDriverChoice> choice = graph_driver_open("", request.data_root);
    if (choice) {
        const std::string root = graph_driver_state_root(*choice->driver, request.data_root);
        static_cast<void>(users_add(names, root + "/graph", Durability::durable, endpoints));
    }
    static_cast<void>(users_add(names, request.run_dir + "/db", Durability::volatile_, endpoints));
    if (names.empty() && !endpoints.empty()) {
        constexpr std::size_t digits = 12;
        for (const std::string& endpoint : endpoints) {
            names.push_back("endpoint " + endpoint.substr(0, digits));
        }
    }
    return names;
}

/// Nobody needs what is to go. Gives: the run directory's lock, if there is such a directory.
Result<std::optional<DataRootLock>> unused_check(const NetworkUninstallRequest& request,
                                                 const std::string& owner) {
    std::optional<DataRootLock> lock;
    if (::access(request.run_dir.c_str(), F_OK) == 0) {
        if (const auto keeper = keeper_running(request.run_dir)) {
            return Error(ErrorKind::conflict,
                         "a davit daemon runs in " + request.run_dir + " (its keeper is process " +
                             std::to_string(*keeper) + "): end it first");
        }
        TRY(lock, DataRootLock::acquire(request.run_dir, "run directory"));
    }
    TRY(const std::vector<std::string> endpoints, network_endpoints_present(owner));
    std::string names;
    for (const std::string& name : users_of(request, endpoints)) {
        names += (names.empty() ? "" : ", ") + name;
    }
    if (!names.empty()) {
        return Error(ErrorKind::conflict,
                     "the networks are in use (" + names + "): stop these containers first");
    }
    return lock;
}

std::string json_of(const NetworkUninstalled& done) {
    std::string body;
    JsonWriter json(body);
    json.begin_object().key("Links").strings(done.links);
    json.key("Filtered").strings(done.filtered);
    json.key("Hooks").strings(done.hooks).key("Maps").strings(done.maps).end_object();
    return body;
}

}  // namespace

Task<std::string> network_uninstall_offline(NetworkUninstallRequest request) {
    CO_TRY(const std::string owner, owner_of(request.data_root));
    CO_TRY(const DataRootLock data_lock, DataRootLock::acquire(request.data_root));
    auto work = [request, owner]() -> Result<NetworkUninstalled> {
        TRY(const std::optional<DataRootLock> lock, unused_check(request, owner));
        BridgeDriverOptions options;
        options.owner = owner;
        network_places(options, request.run_dir);
        TRY(std::vector<std::string> parents, network_links_delete(parent_alias_prefix(owner), {}));
        TRY(NetworkUninstalled done, network_uninstall(options));
        std::ranges::move(parents, std::back_inserter(done.links));
        return done;
    };
    CO_TRY(const NetworkUninstalled done, co_await offload(std::move(work)));
    co_return json_of(done);
}

}  // namespace davit
