#include "jobs/graph_check.h"

#include <algorithm>
#include <set>

#include "graph/container_store.h"
#include "graph/edges.h"
#include "graph/graph_writer.h"
#include "jobs/daemon.h"
#include "jobs/image/image_service.h"
#include "jobs/image/remove.h"
#include "reactor/offload.h"

namespace davit {

namespace {

struct Compared {
    GraphReport report;
    bool has_lost = false;
    std::vector<std::string> unknown_layers;
    std::vector<std::string> unknown_rw;
    std::vector<Digest> unneeded_chains;
};

struct TableFindings {
    std::vector<std::string> findings;
    std::vector<Digest> unneeded_chains;
    GraphCounts counts;
};

/// Everything that needs no look at the disk. Runs on a worker.
Result<TableFindings> tables_check(const ReadTxn& txn, const GraphSubject& subject) {
    TableFindings found;
    TRY(found.findings, graph_check(txn));
    TRY(found.counts, graph_counts(txn));
    TRY_VOID(txn.scan(Table::chains, {}, [&](std::string_view key, auto) -> Result<bool> {
        TRY(Digest chain, Digest::parse(key));
        TRY(const std::uint64_t holders, refcount(txn, Entity{EntityKind::chain, chain.str()}));
        if (holders == 0 && !subject.pinned(chain)) {
            found.findings.push_back("chain " + chain.str() + " is needed by nobody");
            found.unneeded_chains.push_back(std::move(chain));
        }
        return true;
    }));
    if (!subject.is_live) {
        TRY(const std::vector<std::string> leases, lease_list(txn));
        for (const std::string& lease : leases) {
            found.findings.push_back("lease " + lease + " belongs to no pull");
        }
    }
    return found;
}

/// In one turn of the loop, which is what changes the directories: a directory that is there has
/// had its row all the time.
Result<void> layers_compare(const GraphSubject& subject, Compared& compared) {
    GraphDriver& driver = subject.images.driver();
    std::vector<std::string>& findings = compared.report.findings;
    TRY(std::vector<std::string> names, driver.layer_names());
    std::ranges::sort(names);
    compared.report.layer_directories = names.size();
    TRY(const std::vector<LayerDirectory> rows,
        subject.images.db().view([](const ReadTxn& txn) { return layer_directories(txn); }));
    std::set<std::string, std::less<>> known;
    for (const LayerDirectory& row : rows) {
        known.insert(row.cache_id);
        if (row.state == LayerDirectoryState::ready) {
            if (!std::ranges::binary_search(names, row.cache_id)) {
                findings.push_back("layer " + row.layer + " has no directory " + row.cache_id);
                compared.has_lost = true;
            }
        } else if (!subject.is_live) {
            findings.push_back("layer directory " + row.cache_id + " is half made or half removed");
        }
    }
    if (!subject.is_live) {
        const auto elsewhere = [&subject](const ReadTxn& txn) {
            return layers_unsynced_elsewhere(txn, subject.images.layers().sync().boot());
        };
        TRY(const std::vector<std::string> unsynced, subject.images.db().view(elsewhere));
        for (const std::string& cache_id : unsynced) {
            findings.push_back("layer directory " + cache_id +
                               " was not on disk yet when the host went down");
            compared.has_lost = true;
        }
    }
    for (const std::string& name : names) {
        if (!known.contains(name)) {
            findings.push_back("layer directory " + name + " has no record");
            compared.unknown_layers.push_back(name);
        }
    }
    return ok;
}

Result<void> containers_compare(const GraphSubject& subject, Compared& compared) {
    TRY(std::vector<std::string> names, subject.images.driver().rw_names());
    std::ranges::sort(names);
    compared.report.rw_directories = names.size();
    std::set<std::string, std::less<>> known;
    for (const ContainerDirectory& container : subject.containers()) {
        known.insert(container.rw_name);
        if (!container.is_going && !std::ranges::binary_search(names, container.rw_name)) {
            compared.report.findings.push_back("container " + container.container +
                                               " has no directory " + container.rw_name);
        }
    }
    for (const std::string& name : names) {
        if (!known.contains(name)) {
            compared.report.findings.push_back("container directory " + name + " has no container");
            compared.unknown_rw.push_back(name);
        }
    }
    return ok;
}

Task<Compared> compare(const GraphSubject& subject) {
    Compared compared;
    compared.report.driver = subject.images.driver().name();
    auto tables = [&subject]() -> Result<TableFindings> {
        return subject.images.db().view(
            [&subject](const ReadTxn& txn) { return tables_check(txn, subject); });
    };
    CO_TRY(TableFindings found, co_await offload_bulk(std::move(tables)));
    compared.report.findings = std::move(found.findings);
    compared.report.counts = found.counts;
    compared.unneeded_chains = std::move(found.unneeded_chains);
    CO_CHECK(layers_compare(subject, compared));
    CO_CHECK(containers_compare(subject, compared));
    co_return std::move(compared);
}

Task<void> chains_collect(const GraphSubject& subject,
                          std::vector<Digest> chains,
                          std::vector<std::string>& repairs) {
    for (const Digest& chain : chains) {
        auto collect = [&subject, &chain](WriteTxn& txn) {
            return chain_collect(txn, chain, subject.pinned);
        };
        CO_TRY(std::vector<std::string> directories,
               co_await subject.images.writer().update(std::move(collect)));
        repairs.push_back("removed chain " + chain.str() + " and " +
                          std::to_string(directories.size()) + " layers that only it needed");
        CO_CHECK(co_await subject.images.layers().directories_delete(std::move(directories)));
    }
    co_return ok;
}

Result<void> unknown_trash(const GraphSubject& subject,
                           const Compared& compared,
                           std::vector<std::string>& repairs) {
    GraphDriver& driver = subject.images.driver();
    for (const std::string& name : compared.unknown_layers) {
        TRY_VOID(driver.layer_remove(name));
        repairs.push_back("removed layer directory " + name);
    }
    for (const std::string& name : compared.unknown_rw) {
        TRY_VOID(driver.rw_remove(name));
        repairs.push_back("removed container directory " + name);
    }
    return ok;
}

/// What a daemon does at its start.
Task<void> offline_recover(const GraphSubject& subject) {
    auto rw_known = [list = subject.containers()](std::string_view name) {
        return std::ranges::find(list, name, &ContainerDirectory::rw_name) != list.end();
    };
    CO_CHECK(co_await image_recover(subject.images, std::move(rw_known), subject.pinned));
    auto empty = [&subject] { return subject.images.driver().trash().empty_now(); };
    co_return co_await offload_bulk(std::move(empty));
}

Task<std::vector<std::string>> repair_all(const GraphSubject& subject, const Compared& compared) {
    std::vector<std::string> repairs;
    // Without awaits since compare() looked.
    CO_CHECK(unknown_trash(subject, compared, repairs));
    auto tables = [](WriteTxn& txn) { return graph_repair(txn); };
    CO_TRY(const std::vector<std::string> mended,
           co_await subject.images.writer().update(std::move(tables)));
    repairs.insert(repairs.end(), mended.begin(), mended.end());
    if (compared.has_lost) {
        CO_TRY(const std::vector<std::string> told, co_await image_lost_drop(subject.images));
        repairs.insert(repairs.end(), told.begin(), told.end());
    }
    CO_CHECK(co_await chains_collect(subject, compared.unneeded_chains, repairs));
    if (!subject.is_live) {
        CO_CHECK(co_await offline_recover(subject));
    }
    co_return std::move(repairs);
}

}  // namespace

Task<GraphReport> graph_check_run(GraphSubject subject, bool repair) {
    CO_TRY(Compared compared, co_await compare(subject));
    if (!repair || compared.report.findings.empty()) {
        co_return std::move(compared.report);
    }
    CO_TRY(std::vector<std::string> repairs, co_await shielded(repair_all(subject, compared)));
    CO_TRY(Compared again, co_await compare(subject));
    again.report.repairs = std::move(repairs);
    co_return std::move(again.report);
}

Task<GraphReport> graph_check_job(Job& job, Daemon& daemon, bool repair) {
    const ContainerStore store(*daemon.graph, *daemon.run_db);
    CO_TRY(std::vector<Digest> pinned, store.pinned_chains());
    auto is_pinned = [pinned = std::move(pinned)](const Digest& chain) {
        return std::ranges::find(pinned, chain) != pinned.end();
    };
    auto containers = [&daemon] {
        std::vector<ContainerDirectory> list;
        for (const auto& container : daemon.containers.list()) {
            // Dead: its removal has failed, and may have come past the directory.
            const ContainerState status = container->record.state.status;
            const bool is_going =
                status == ContainerState::removing || status == ContainerState::dead;
            list.push_back({container->id().short_id(), container->record.rw_name, is_going});
        }
        return list;
    };
    GraphSubject subject{*daemon.images, containers, is_pinned, true};
    job.phases().begin(repair ? "check and repair" : "check");
    co_return co_await graph_check_run(std::move(subject), repair);
}

}  // namespace davit
