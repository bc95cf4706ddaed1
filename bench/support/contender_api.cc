#include "bench/support/api_client.h"
#include "bench/support/contender_kinds.h"

namespace davit::bench {
namespace {

class ApiContender final : public Contender {
  public:
    ApiContender(Setting& setting, std::string socket)
        : setting_(setting), names_(setting), socket_(std::move(socket)) {}

    Result<Cycle> client_make(const Work& work) override {
        TRY(ApiClient made, ApiClient::connect(socket_, setting_.limit));
        if (work.scenario == Scenario::exec && host_.empty()) {
            TRY(host_, made.begin(container(work.network, {"sleep", "1000000"})));
        }
        auto client = std::make_shared<ApiClient>(std::move(made));
        return Cycle([this, client, work, host = host_]() -> Result<Timing> {
            TRY(ApiOutcome outcome, cycle(*client, work, host));
            // A run without attachment: its code alone tells.
            const std::string expected =
                work.scenario == Scenario::run ? setting_.line + "\n" : outcome.output;
            TRY_VOID(setting_.check(expected, outcome.code));
            return std::move(outcome.timing);
        });
    }

    Result<int> clean() override {
        TRY(ApiClient client, ApiClient::connect(socket_, setting_.limit));
        TRY(const int removed, client.remove_all(names_.prefix()));
        const bool host = !std::exchange(host_, "").empty();
        return host && removed > 0 ? removed - 1 : removed;
    }

  private:
    ApiContainer container(Network network, std::vector<std::string> argv) {
        return {setting_.image, std::move(argv), names_.next(), network, false};
    }

    Result<ApiOutcome> cycle(ApiClient& client, const Work& work, const std::string& host) {
        if (work.scenario == Scenario::exec) {
            return client.exec(host, setting_.payload());
        }
        ApiContainer what = container(work.network, setting_.payload());
        what.auto_remove = work.scenario == Scenario::run;
        return what.auto_remove ? client.run(what) : client.steps(what);
    }

    Setting& setting_;
    Names names_;
    std::string socket_;
    std::string host_;  // The container in which exec works.
};

}  // namespace

std::unique_ptr<Contender> api_contender(Setting& setting, std::string socket) {
    return std::make_unique<ApiContender>(setting, std::move(socket));
}

}  // namespace davit::bench
