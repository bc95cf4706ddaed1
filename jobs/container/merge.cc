#include "jobs/container/merge.h"

#include <algorithm>

namespace davit {

namespace {

constexpr std::string_view path_default =
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

std::string_view env_key(std::string_view entry) {
    return entry.substr(0, entry.find('='));
}

auto env_find(std::vector<std::string>& env, std::string_view key) {
    return std::ranges::find(env, key, [](const std::string& entry) { return env_key(entry); });
}

void env_merge(std::vector<std::string>& env, const std::vector<std::string>& image) {
    const std::vector<std::string> given = env;
    for (const std::string& entry : image) {
        const bool replaced = std::ranges::any_of(
            given, [&](const std::string& own) { return env_key(own) == env_key(entry); });
        if (!replaced) {
            env.push_back(entry);
        }
    }
}

/// An entrypoint of the request's takes the image's command away; one of [""] is none at all.
void program_choose(ContainerConfig& config, const RunConfig& image) {
    const auto is_empty = [](const std::optional<std::vector<std::string>>& words) {
        return !words || words->empty();
    };
    if (is_empty(config.entrypoint)) {
        if (is_empty(config.cmd) && !image.cmd.empty()) {
            config.cmd = image.cmd;
            config.args_escaped = image.args_escaped;
        }
        if (!config.entrypoint && !image.entrypoint.empty()) {
            config.entrypoint = image.entrypoint;
        }
    }
    if (config.entrypoint && config.entrypoint->size() == 1 && config.entrypoint->front().empty()) {
        config.entrypoint.reset();
    }
}

Result<void> program_set(ContainerRecord& record) {
    std::vector<std::string> words;
    for (const auto* part : {&record.config.entrypoint, &record.config.cmd}) {
        if (*part) {
            words.insert(words.end(), (*part)->begin(), (*part)->end());
        }
    }
    if (words.empty() || words.front().empty()) {
        return Error(ErrorKind::invalid_argument, "no command specified");
    }
    record.path = words.front();
    record.args.assign(words.begin() + 1, words.end());
    return ok;
}

void health_merge(std::optional<HealthConfig>& health, const std::optional<HealthConfig>& image) {
    if (!health || !image) {
        health = health ? health : image;
        return;
    }
    const auto inherit = [](auto& own, const auto& given) {
        if (own == std::decay_t<decltype(own)>{}) {
            own = given;
        }
    };
    inherit(health->test, image->test);
    inherit(health->interval_ns, image->interval_ns);
    inherit(health->timeout_ns, image->timeout_ns);
    inherit(health->start_period_ns, image->start_period_ns);
    inherit(health->start_interval_ns, image->start_interval_ns);
    inherit(health->retries, image->retries);
}

void image_merge(ContainerConfig& config, const RunConfig& image) {
    const auto inherit = [](std::string& own, const std::string& given) {
        own = own.empty() ? given : std::move(own);
    };
    inherit(config.user, image.user);
    inherit(config.working_dir, image.working_dir);
    inherit(config.stop_signal, image.stop_signal);
    env_merge(config.env, image.env);
    config.exposed_ports.insert(image.exposed_ports.begin(), image.exposed_ports.end());
    config.volumes.insert(image.volumes.begin(), image.volumes.end());
    config.labels.insert(image.labels.begin(), image.labels.end());
    health_merge(config.healthcheck, image.healthcheck);
    program_choose(config, image);
}

Result<void> hostname_set(ContainerRecord& record, const HostFacts& host) {
    std::string& hostname = record.config.hostname;
    const bool host_uts = record.host_config.uts_mode == "host";
    if (host_uts && !hostname.empty()) {
        return Error(ErrorKind::invalid_argument, "conflicting options: hostname and the UTS mode");
    }
    const bool shared = record.host_config.network_mode.starts_with("container:");
    if (shared && !hostname.empty()) {
        return Error(ErrorKind::invalid_argument,
                     "conflicting options: hostname and the network mode");
    }
    if (shared && !record.config.exposed_ports.empty()) {
        return Error(ErrorKind::invalid_argument,
                     "conflicting options: port exposing and the container type network mode");
    }
    if (hostname.empty()) {
        const bool of_host = host_uts || record.host_config.network_mode == "host";
        hostname = of_host ? host.hostname : record.id.short_id();
    }
    return ok;
}

}  // namespace

Result<void> container_merge(ContainerRecord& record,
                             const RunConfig& image,
                             std::vector<std::string>& warnings,
                             const HostFacts& host) {
    std::string& network = record.host_config.network_mode;
    if (record.config.network_disabled && (network.empty() || network == "default")) {
        network = "none";
    }
    TRY(const std::vector<std::string> host_warnings,
        host_config_check(record.host_config, host.cpu_count));
    warnings.insert(warnings.end(), host_warnings.begin(), host_warnings.end());
    host_config_complete(record.host_config, host.pure_v2);
    image_merge(record.config, image);
    TRY_VOID(container_config_check(record.config));  // Afterwards: images hold bad values, too.
    TRY_VOID(program_set(record));
    TRY_VOID(hostname_set(record, host));
    TRY(record.mounts,
        mount_points_resolve(record.host_config, record.config.volumes, host.mounts));
    return ok;
}

std::vector<std::string> container_environment(const ContainerConfig& config,
                                               const std::vector<std::string>& of_links) {
    std::vector<std::string> env{std::string(path_default)};
    if (!config.hostname.empty()) {
        env.push_back("HOSTNAME=" + config.hostname);
    }
    if (config.tty) {
        env.emplace_back("TERM=xterm");
    }
    env.insert(env.end(), of_links.begin(), of_links.end());
    for (const std::string& entry : config.env) {
        env_set(env, entry);
    }
    return env;
}

void env_set(std::vector<std::string>& env, const std::string& entry) {
    const auto found = env_find(env, env_key(entry));
    const bool removes = entry.find('=') == std::string::npos;
    if (found == env.end() && !removes) {
        env.push_back(entry);
    } else if (found != env.end() && removes) {
        env.erase(found);
    } else if (found != env.end()) {
        *found = entry;
    }
}

}  // namespace davit
