#include "jobs/stats_sampler.h"

#include <algorithm>

#include "reactor/offload.h"
#include "reactor/timer.h"

namespace davit {

struct StatsSampler::Subscription::Entry {
    std::shared_ptr<Container> container;
    std::size_t readers = 0;
    std::uint64_t rounds = 0;
    Sample latest;
    WaitList waiters;
    /// Of this run; opened once.
    std::weak_ptr<ContainerRun> run;
    std::shared_ptr<const CgroupStatsReader> reader;
};

namespace {

constexpr std::chrono::seconds interval{1};

/// What a worker needs to sample one container.
struct Target {
    std::shared_ptr<const CgroupStatsReader> reader;
    /// Whose network it has; 0: the host's, which is nobody's.
    pid_t network = 0;
};

std::shared_ptr<const CgroupStatsReader> reader_open(const ContainerRun& run) {
    auto opened = CgroupStatsReader::open(*run.cgroup);
    return opened ? std::make_shared<const CgroupStatsReader>(*std::move(opened)) : nullptr;
}

Target target_of(const Container& container, std::shared_ptr<const CgroupStatsReader> reader) {
    const bool host = container.record.host_config.network_mode == "host";
    return {std::move(reader), host || !container.run ? 0 : container.run->init.pid()};
}

/// Null for what has ended meanwhile.
StatsSampler::Sample sample_read(const Target& target, const HostStats& host) {
    if (!target.reader) {
        return nullptr;
    }
    auto stats = std::make_shared<ContainerStats>();
    auto counted = target.reader->read();
    if (!counted) {
        return nullptr;
    }
    stats->cgroup = *std::move(counted);
    stats->host = host;
    stats->read = wall_now();
    if (target.network > 0) {
        const auto text = file_read("/proc/" + std::to_string(target.network) + "/net/dev");
        if (text) {
            stats->interfaces = interface_stats_parse(*text);
        }
    }
    return stats;
}

Result<std::vector<StatsSampler::Sample>> samples_read(const std::vector<Target>& targets) {
    const HostStats host = host_stats_read();
    std::vector<StatsSampler::Sample> samples;
    samples.reserve(targets.size());
    for (const Target& target : targets) {
        samples.push_back(sample_read(target, host));
    }
    return samples;
}

}  // namespace

StatsSampler::Subscription::Subscription(StatsSampler& sampler,
                                         std::shared_ptr<Container> container)
    : sampler_(sampler) {
    std::shared_ptr<Entry>& entry = sampler.entries_[container->id().str()];
    if (!entry) {
        entry = std::make_shared<Entry>();
        entry->container = std::move(container);
    }
    ++entry->readers;
    entry_ = entry;
    seen_ = entry->rounds;
    sampler.wanted_.wake_all();
}

StatsSampler::Subscription::~Subscription() {
    if (--entry_->readers == 0) {
        sampler_.entries_.erase(entry_->container->id().str());
    }
}

Task<std::optional<StatsSampler::Sample>> StatsSampler::Subscription::next() {
    while (entry_->rounds == seen_) {
        if (entry_->container->removed) {
            co_return std::optional<Sample>{};
        }
        CO_CHECK(co_await entry_->waiters.wait());
    }
    seen_ = entry_->rounds;
    co_return entry_->container->removed ? std::optional<Sample>{}
                                         : std::optional<Sample>(entry_->latest);
}

Task<StatsSampler::Sample> StatsSampler::read_once(std::shared_ptr<Container> container) {
    if (!container->run) {
        co_return Sample();
    }
    std::vector<Target> targets{target_of(*container, reader_open(*container->run))};
    auto read = [targets = std::move(targets)] { return samples_read(targets); };
    CO_TRY(const std::vector<Sample> samples, co_await offload(std::move(read)));
    co_return container->run ? samples.front() : Sample();
}

Task<void> StatsSampler::round() {
    std::vector<std::shared_ptr<Subscription::Entry>> entries;
    std::vector<Target> targets;
    for (const auto& [id, entry] : entries_) {
        const std::shared_ptr<ContainerRun> run = entry->container->run;
        if (!run) {
            entry->reader = nullptr;
        } else if (!entry->reader || entry->run.lock() != run) {
            entry->reader = reader_open(*run);
            entry->run = run;
        }
        targets.push_back(target_of(*entry->container, entry->reader));
        entries.push_back(entry);
    }
    auto read = [targets = std::move(targets)] { return samples_read(targets); };
    CO_TRY(std::vector<Sample> samples, co_await offload(std::move(read)));
    for (std::size_t i = 0; i < entries.size(); ++i) {
        Subscription::Entry& entry = *entries[i];
        entry.latest = entry.container->run ? std::move(samples[i]) : nullptr;
        ++entry.rounds;
        entry.waiters.wake_all();
    }
    co_return ok;
}

Task<void> StatsSampler::run() {
    for (;;) {
        while (entries_.empty()) {
            CO_CHECK(co_await wanted_.wait());
        }
        const MonotonicTime begun = monotonic_now();
        CO_CHECK(co_await round());
        CO_CHECK(co_await sleep_for(
            std::max<Nanoseconds>(begun + interval - monotonic_now(), Nanoseconds{})));
    }
}

}  // namespace davit
