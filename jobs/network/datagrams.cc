#include "jobs/network/datagrams.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>

namespace davit {

std::vector<Datagram> datagrams_receive(int fd, std::string& buffer) {
    buffer.resize(datagrams_at_once * question_bytes_max);
    std::array<mmsghdr, datagrams_at_once> messages{};
    std::array<iovec, datagrams_at_once> pieces{};
    std::array<sockaddr_in, datagrams_at_once> peers{};
    for (std::size_t i = 0; i < datagrams_at_once; ++i) {
        pieces[i] = {buffer.data() + i * question_bytes_max, question_bytes_max};
        messages[i].msg_hdr.msg_iov = &pieces[i];
        messages[i].msg_hdr.msg_iovlen = 1;
        messages[i].msg_hdr.msg_name = &peers[i];
        messages[i].msg_hdr.msg_namelen = sizeof(peers[i]);
    }
    const int got = ::recvmmsg(fd, messages.data(), datagrams_at_once, MSG_DONTWAIT, nullptr);
    std::vector<Datagram> datagrams;
    for (std::size_t i = 0; got > 0 && i < static_cast<std::size_t>(got); ++i) {
        const bool whole = (messages[i].msg_hdr.msg_flags & MSG_TRUNC) == 0;
        const char* begin = buffer.data() + i * question_bytes_max;
        // Kept, if empty, so that an answer of none means that none is left.
        datagrams.push_back({peers[i], std::string(begin, whole ? messages[i].msg_len : 0)});
    }
    return datagrams;
}

void datagrams_send(int fd, std::vector<Datagram>& datagrams) {
    std::array<mmsghdr, datagrams_at_once> messages{};
    std::array<iovec, datagrams_at_once> pieces{};
    for (std::size_t at = 0; at < datagrams.size();) {
        const std::size_t count = std::min(datagrams_at_once, datagrams.size() - at);
        for (std::size_t i = 0; i < count; ++i) {
            Datagram& datagram = datagrams[at + i];
            pieces[i] = {datagram.bytes.data(), datagram.bytes.size()};
            messages[i] = {};
            messages[i].msg_hdr.msg_iov = &pieces[i];
            messages[i].msg_hdr.msg_iovlen = 1;
            messages[i].msg_hdr.msg_name = &datagram.peer;
            messages[i].msg_hdr.msg_namelen = sizeof(datagram.peer);
        }
        const int sent = ::sendmmsg(
            fd, messages.data(), static_cast<unsigned>(count), MSG_DONTWAIT | MSG_NOSIGNAL);
        // The first of them could not be sent: the others may.
        at += sent > 0 ? static_cast<std::size_t>(sent) : 1;
    }
}

bool QuestionQueue::push(Datagram question) {
    const std::uint32_t address = question.peer.sin_addr.s_addr;
    std::deque<Datagram>& queue = waiting_[address];
    if (queue.size() >= of_one_max) {
        return false;
    }
    if (queue.empty()) {
        turns_.push_back(address);
    }
    queue.push_back(std::move(question));
    return true;
}

std::optional<Datagram> QuestionQueue::pop() {
    if (turns_.empty()) {
        return std::nullopt;
    }
    const std::uint32_t address = turns_.front();
    turns_.pop_front();
    const auto queue = waiting_.find(address);
    Datagram question = std::move(queue->second.front());
    queue->second.pop_front();
    if (queue->second.empty()) {
        waiting_.erase(queue);
    } else {
        turns_.push_back(address);
    }
    return question;
}

}  // namespace davit
