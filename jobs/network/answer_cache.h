#pragma once
/// AnswerCache: what other name servers have answered, for as long as it may be told again.
#include <list>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "reactor/base/clock.h"

namespace davit {

class AnswerCache {
  public:
    /// The oldest goes for the next one.
    static constexpr std::size_t answers_max = 1024;
    /// No longer, whatever its records say: names move, and the host may come into another net.
    static constexpr std::uint32_t seconds_max = 30;

    /// The answer to the same question (but for its id) that these servers were asked, with the
    /// question's id and its records' times as they are now.
    std::optional<std::string> find(const std::string& query,
                                    const std::vector<std::string>& servers,
                                    MonotonicTime now);

    /// Keep an answer, if it may be kept.
    void put(const std::string& query,
             const std::vector<std::string>& servers,
             const std::string& answer,
             MonotonicTime now);

    std::size_t size() const { return kept_.size(); }

  private:
    struct Kept {
        std::string answer;
        MonotonicTime since;
        MonotonicTime until;
        std::list<std::string>::iterator order;
    };

    void erase(std::map<std::string, Kept>::iterator kept);

    std::map<std::string, Kept> kept_;
    /// Keys, the oldest first.
    std::list<std::string> order_;
};

}  // namespace davit
