#include "bench/support/contender_kinds.h"

namespace davit::bench {
namespace {

class FloorContender final : public Contender {
  public:
    explicit FloorContender(Floor::Config config) : config_(std::move(config)) {}

    Result<Cycle> client_make(const Work& work) override {
        if (work.scenario != Scenario::run || work.network != Network::none) {
            return Error(ErrorKind::unsupported, "the floor is for run on network none");
        }
        TRY(Floor made, Floor::make(config_));
        // std::function wants something copyable.
        auto floor = std::make_shared<Floor>(std::move(made));
        return Cycle([floor]() -> Result<Timing> {
            TRY(const FloorTimes times, floor->run());
            Timing timing;
            timing.whole = times.whole;
            return timing;
        });
    }

    Result<int> clean() override { return 0; }

    bool in_process() const override { return true; }

  private:
    Floor::Config config_;
};

}  // namespace

std::unique_ptr<Contender> floor_contender(Floor::Config config) {
    return std::make_unique<FloorContender>(std::move(config));
}

}  // namespace davit::bench
