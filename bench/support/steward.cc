#include "bench/support/steward.h"

#include <functional>
#include <thread>

#include <fmt/format.h>

#include "bench/support/api_client.h"
#include "bench/support/contender_command.h"
#include "bench/support/interrupt.h"

namespace davit::bench {
namespace {

class ApiSteward final : public Steward {
  public:
    ApiSteward(std::string name, Setting& setting, const Engine& engine)
        : Steward(std::move(name)),
          setting_(setting),
          names_(setting),
          victims_(setting),
          engine_(engine) {}

    Result<void> sleeper_add() override {
        if (!client_) {
            TRY(ApiClient made, connect());
            client_.emplace(std::move(made));
        }
        const ApiContainer sleeper = {
            setting_.image, {"sleep", "1000000"}, names_.next(), Network::none, false};
        if (Result<std::string> begun = client_->begin(sleeper); !begun) {
            client_.reset();
            return std::move(begun).error();
        }
        ++sleepers_;
        return ok;
    }

    bool can(Adversity) const override { return true; }

    Result<void> pull(const std::string& repository, const std::string& tag) override {
        TRY(ApiClient client, connect());
        pulled_ = fmt::format("/images/{}:{}?force=1", repository, tag);
        TRY_VOID(
            client.ask("POST", fmt::format("/images/create?fromImage={}&tag={}", repository, tag)));
        TRY_VOID(client.ask("DELETE", pulled_));
        pulled_.clear();
        return ok;
    }

    Result<void> prune() override {
        TRY(ApiClient client, connect());
        TRY_VOID(victims_make(client));
        const std::string target = fmt::format(
            "/containers/prune?filters=%7B%22label%22:%5B%22{}%22%5D%7D", victims_.prefix());
        TRY(const std::string pruned, client.ask("POST", target));
        if (pruned.find("\"ContainersDeleted\":[\"") == std::string::npos) {
            return Error(ErrorKind::internal, "the prune removed nothing: " + pruned);
        }
        TRY_VOID(client.ask("POST", "/images/prune"));
        TRY_VOID(client.ask("POST", "/volumes/prune"));
        return ok;
    }

    Result<void> removes() override {
        TRY(ApiClient client, connect());
        TRY(const std::vector<std::string> ids, victims_make(client));
        std::vector<Result<void>> outcomes(ids.size(), Result<void>(ok));
        std::vector<std::thread> threads;
        for (std::size_t victim = 0; victim < ids.size(); ++victim) {
            threads.emplace_back([&, this, victim] { outcomes[victim] = remove(ids[victim]); });
        }
        for (std::thread& thread : threads) {
            thread.join();
        }
        for (Result<void>& outcome : outcomes) {
            TRY_VOID(std::move(outcome));
        }
        return ok;
    }

    std::optional<long> share_kib() const override { return engine_.family_share_kib(); }

    Result<void> clean() override {
        client_.reset();
        sleepers_ = 0;
        TRY(ApiClient client, connect());
        TRY_VOID(client.remove_all(names_.prefix()));
        TRY_VOID(client.remove_all(victims_.prefix()));
        if (!pulled_.empty()) {
            // It is not there if the pull did not come to its end.
            static_cast<void>(client.ask("DELETE", std::exchange(pulled_, "")));
        }
        return ok;
    }

  private:
    Result<ApiClient> connect() const {
        return ApiClient::connect(engine_.socket(), setting_.limit);
    }

    Result<std::vector<std::string>> victims_make(ApiClient& client) {
        std::vector<std::string> ids;
        while (ids.size() < victims) {
            const ApiContainer victim = {
                setting_.image, {"true"}, victims_.next(), Network::none, false, victims_.prefix()};
            TRY(ids.emplace_back(), client.create(victim));
        }
        return ids;
    }

    Result<void> remove(const std::string& id) const {
        TRY(ApiClient client, connect());
        return client.remove(id);
    }

    Setting& setting_;
    Names names_;
    Names victims_;       // Their prefix is also their label.
    std::string pulled_;  // What removes it.
    const Engine& engine_;
    std::optional<ApiClient> client_;
};

using Words = std::vector<std::string>;

Words joined(Words words, const Words& more) {
    words.insert(words.end(), more.begin(), more.end());
    return words;
}

/// How an engine does it by commands.
struct Verbs {
    std::function<Words(const std::string& name)> sleep;  // Ends when the container runs.
    /// Of one that runs, one command after the other; all but the last may fail.
    std::function<std::vector<Words>(const std::string& name)> remove;
    std::function<Words(const std::string& name, const std::string& label)> create;
    /// The words before the name of one that was created.
    Words remove_created;
    /// What the engine does not have is empty.
    Words pull;
    Words image_remove;
    std::function<Words(const std::string& label)> prune;
    const Engine* daemon = nullptr;
    std::string directory;
};

class CommandSteward final : public Steward {
  public:
    CommandSteward(std::string name, Setting& setting, SpawnOptions base, Verbs verbs)
        : Steward(std::move(name)),
          run_(setting, std::move(base)),
          victims_(setting),
          verbs_(std::move(verbs)) {}

    Result<void> sleeper_add() override {
        const std::string name = run_.names().next();
        made_.push_back(name);  // Also if it fails: something may be there.
        TRY_VOID(run_.run(verbs_.sleep(name)));
        ++sleepers_;
        return ok;
    }

    bool can(Adversity adversity) const override {
        return adversity == Adversity::pull    ? !verbs_.pull.empty()
               : adversity == Adversity::prune ? verbs_.prune != nullptr
                                               : true;
    }

    Result<void> pull(const std::string& repository, const std::string& tag) override {
        pulled_ = repository + ":" + tag;
        TRY_VOID(run_.run(joined(verbs_.pull, {pulled_})));
        TRY_VOID(run_.run(joined(verbs_.image_remove, {pulled_})));
        pulled_.clear();
        return ok;
    }

    Result<void> prune() override {
        TRY_VOID(victims_make());
        TRY_VOID(run_.run(verbs_.prune(victims_.prefix())));
        created_.clear();
        return ok;
    }

    Result<void> removes() override {
        TRY_VOID(victims_make());
        std::vector<PidRef> removing;
        Result<void> first = ok;
        for (const std::string& name : created_) {
            Result<PidRef> spawned =
                process_spawn(run_.options(joined(verbs_.remove_created, {name})));
            if (spawned) {
                removing.push_back(*std::move(spawned));
            } else {
                first = std::move(spawned).error();
            }
        }
        const std::optional<MonotonicTime> deadline = deadline_in(run_.setting().limit);
        for (const PidRef& child : removing) {
            const Result<ExitStatus> ended = process_wait(child, deadline);
            if (!ended && first) {
                first = ended.error();
            } else if (ended && ended->shell_code() != 0 && first) {
                first = run_.failed(verbs_.remove_created, ended->shell_code());
            }
        }
        TRY_VOID(std::move(first));
        created_.clear();
        return ok;
    }

    std::optional<long> share_kib() const override {
        if (verbs_.daemon != nullptr) {
            return verbs_.daemon->family_share_kib();
        }
        if (verbs_.directory.empty()) {
            return std::nullopt;
        }
        long total = 0;
        for (const pid_t process : process_helpers(verbs_.directory)) {
            total += process_share_kib(process);
        }
        return total;
    }

    Result<void> clean() override {
        sleepers_ = 0;
        Result<void> first = ok;
        while (!made_.empty()) {
            Result<void> removed = remove(made_.back());
            made_.pop_back();
            if (!removed && first) {
                first = std::move(removed);
            }
        }
        // Of these only what was not done in time is there.
        for (const std::string& name : std::exchange(created_, {})) {
            static_cast<void>(run_.run(joined(verbs_.remove_created, {name})));
        }
        if (!pulled_.empty()) {
            static_cast<void>(run_.run(joined(verbs_.image_remove, {std::exchange(pulled_, "")})));
        }
        return first;
    }

  private:
    Result<void> victims_make() {
        while (created_.size() < victims) {
            const std::string name = victims_.next();
            created_.push_back(name);
            TRY_VOID(run_.run(verbs_.create(name, victims_.prefix())));
        }
        return ok;
    }

    Result<void> remove(const std::string& name) const {
        Result<void> removed = ok;
        for (const Words& words : verbs_.remove(name)) {
            removed = run_.run(words);
        }
        return removed;
    }

    Commands run_;
    Names victims_;
    Verbs verbs_;
    Words made_;
    Words created_;
    std::string pulled_;
};

}  // namespace

std::unique_ptr<Steward> api_steward(std::string name, Setting& setting, const Engine& engine) {
    return std::make_unique<ApiSteward>(std::move(name), setting, engine);
}

std::unique_ptr<Steward> command_steward(std::string name,
                                         Setting& setting,
                                         const CommandConfig& config,
                                         std::string directory) {
    Verbs verbs;
    verbs.sleep = [&setting, options = config.options](const std::string& container) {
        // podman's removal waits so long for a program that does not care for SIGTERM.
        const Words at_once = {"--stop-timeout", "0"};
        Words words =
            joined(joined({"run", "--detach", "--name", container, "--network", "none"}, at_once),
                   options);
        return joined(std::move(words), {setting.image, "sleep", "1000000"});
    };
    verbs.remove = [](const std::string& container) -> std::vector<Words> {
        return {{"rm", "--force", container}};
    };
    verbs.create = [&setting, options = config.options](const std::string& container,
                                                        const std::string& label) {
        Words words =
            joined({"create", "--name", container, "--label", label, "--network", "none"}, options);
        return joined(std::move(words), {setting.image, "true"});
    };
    verbs.remove_created = {"rm", "--force"};
    verbs.pull = joined({"pull"}, config.pull_options);
    verbs.image_remove = {"rmi", "--force"};
    verbs.prune = [](const std::string& label) {
        return Words{"container", "prune", "--force", "--filter", "label=" + label};
    };
    verbs.directory = std::move(directory);
    return std::make_unique<CommandSteward>(
        std::move(name), setting, config.base, std::move(verbs));
}

std::unique_ptr<Steward> runtime_steward(std::string name,
                                         Setting& setting,
                                         const RuntimeConfig& config) {
    Verbs verbs;
    verbs.sleep = [bundle = config.bundle_sleep](const std::string& container) {
        return Words{"run", "--detach", "--bundle", bundle, container};
    };
    verbs.remove = [](const std::string& container) -> std::vector<Words> {
        return {{"delete", "--force", container}};
    };
    verbs.create = [bundle = config.bundle_none](const std::string& container, const std::string&) {
        return Words{"create", "--bundle", bundle, container};
    };
    verbs.remove_created = {"delete", "--force"};
    return std::make_unique<CommandSteward>(
        std::move(name), setting, config.base, std::move(verbs));
}

std::unique_ptr<Steward> ctr_steward(std::string name,
                                     Setting& setting,
                                     const SpawnOptions& base,
                                     const Engine& daemon) {
    Verbs verbs;
    verbs.sleep = [&setting](const std::string& container) {
        const std::string image = "docker.io/library/" + setting.image;
        return Words{"run", "--detach", image, container, "sleep", "1000000"};
    };
    verbs.remove = [](const std::string& container) -> std::vector<Words> {
        return {{"task", "rm", "--force", container}, {"container", "rm", container}};
    };
    verbs.create = [&setting](const std::string& container, const std::string&) {
        const std::string image = "docker.io/library/" + setting.image;
        return Words{"container", "create", image, container};
    };
    verbs.remove_created = {"container", "rm"};
    verbs.pull = {"image", "pull", "--plain-http"};
    verbs.image_remove = {"image", "rm"};
    verbs.daemon = &daemon;
    return std::make_unique<CommandSteward>(std::move(name), setting, base, std::move(verbs));
}

}  // namespace davit::bench
