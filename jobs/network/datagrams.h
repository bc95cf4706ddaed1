#pragma once
/// Questions of many clients at one UDP socket: read and answered many to a system call, and in
/// turns, so that one who asks without end costs the others nothing but their turn.
#include <netinet/in.h>

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace davit {

struct Datagram {
    /// Who sent it, or gets it.
    sockaddr_in peer{};
    std::string bytes;
};

/// So many are read, or sent, by one call.
inline constexpr std::size_t datagrams_at_once = 16;
/// A question is smaller; what is longer is not read.
inline constexpr std::size_t question_bytes_max = 4096;

/// What has come, at most datagrams_at_once; empty: nothing (more).
/// Takes: a buffer for all of them, grown on the first call.
std::vector<Datagram> datagrams_receive(int fd, std::string& buffer);

/// What the socket does not take is lost, as on the way.
void datagrams_send(int fd, std::vector<Datagram>& datagrams);

/// Questions that wait for their answers: one of each client's address in turn.
class QuestionQueue {
  public:
    /// Of one address, at most so many wait.
    static constexpr std::size_t of_one_max = 1024;

    /// False: too many of this one wait; it is dropped.
    bool push(Datagram question);

    /// The next one's; nothing: none waits.
    std::optional<Datagram> pop();

    bool empty() const { return turns_.empty(); }

  private:
    /// By address, in network order; no queue is empty.
    std::map<std::uint32_t, std::deque<Datagram>> waiting_;
    /// Each of them once.
    std::deque<std::uint32_t> turns_;
};

}  // namespace davit
