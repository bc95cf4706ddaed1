#include "bench/support/steward.h"

#include <functional>

#include "bench/support/api_client.h"
#include "bench/support/contender_command.h"

namespace davit::bench {
namespace {

class ApiSteward final : public Steward {
  public:
    ApiSteward(std::string name, Setting& setting, const Engine& engine)
        : Steward(std::move(name)), setting_(setting), names_(setting), engine_(engine) {}

    Result<void> sleeper_add() override {
        if (!client_) {
            TRY(ApiClient made, ApiClient::connect(engine_.socket(), setting_.limit));
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

    std::optional<long> share_kib() const override { return engine_.family_share_kib(); }

    Result<void> clean() override {
        client_.reset();
        sleepers_ = 0;
        TRY(ApiClient client, ApiClient::connect(engine_.socket(), setting_.limit));
        TRY_VOID(client.remove_all(names_.prefix()));
        return ok;
    }

  private:
    Setting& setting_;
    Names names_;
    const Engine& engine_;
    std::optional<ApiClient> client_;
};

using Words = std::vector<std::string>;

/// How an engine does it by commands.
struct Verbs {
    std::function<Words(const std::string& name)> sleep;  // Ends when the container runs.
    /// Of one that runs, one command after the other; all but the last may fail.
    std::function<std::vector<Words>(const std::string& name)> remove;
    const Engine* daemon = nullptr;
    std::string directory;
};

class CommandSteward final : public Steward {
  public:
    CommandSteward(std::string name, Setting& setting, SpawnOptions base, Verbs verbs)
        : Steward(std::move(name)), run_(setting, std::move(base)), verbs_(std::move(verbs)) {}

    Result<void> sleeper_add() override {
        const std::string name = run_.names().next();
        made_.push_back(name);  // Also if it fails: something may be there.
        TRY_VOID(run_.run(verbs_.sleep(name)));
        ++sleepers_;
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
        return first;
    }

  private:
    Result<void> remove(const std::string& name) const {
        Result<void> removed = ok;
        for (const Words& words : verbs_.remove(name)) {
            removed = run_.run(words);
        }
        return removed;
    }

    Commands run_;
    Verbs verbs_;
    Words made_;
};

Words joined(Words words, const Words& more) {
    words.insert(words.end(), more.begin(), more.end());
    return words;
}

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
        Words words =
            joined({"run", "--detach", "--name", container, "--network", "none"}, options);
        return joined(std::move(words), {setting.image, "sleep", "1000000"});
    };
    verbs.remove = [](const std::string& container) -> std::vector<Words> {
        return {{"rm", "--force", container}};
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
    verbs.daemon = &daemon;
    return std::make_unique<CommandSteward>(std::move(name), setting, base, std::move(verbs));
}

}  // namespace davit::bench
