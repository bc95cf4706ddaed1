#include "jobs/network/resolver.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "drivers/net/dns_message.h"
#include "reactor/base/ids.h"
#include "reactor/base/limits.h"
#include "reactor/poller.h"
#include "reactor/timer.h"

namespace davit {

namespace {

/// Questions that wait for other servers, of one network; the client asks again.
constexpr std::size_t questions_max = 4096;
/// The same, of one container.
constexpr std::size_t questions_of_one_max = 1024;
/// Questions that are read before the next ones are answered: reading is cheaper by far.
constexpr std::size_t reads_max = 256;
/// For all that may come in while the loop is busy elsewhere; the kernel charges some 800 for each.
constexpr int receive_buffer_bytes = 4 << 20;
constexpr std::uint16_t dns_port = 53;
constexpr int connections_backlog = 128;
constexpr std::size_t datagram_bytes_max = 65535;
/// As the resolver of the C library; the client has its own patience.
constexpr std::chrono::seconds server_timeout{2};
constexpr std::chrono::seconds idle_timeout{10};

sockaddr_in address_of(const IpAddress& address, std::uint16_t port) {
    sockaddr_in out{};
    out.sin_family = AF_INET;
    out.sin_port = htons(port);
    out.sin_addr.s_addr = htonl(address.v4_value());
    return out;
}

struct Server {
    sockaddr_storage address{};
    socklen_t size = 0;
};

Result<Server> server_parse(const std::string& text) {
    Server server;
    auto* four = reinterpret_cast<sockaddr_in*>(&server.address);
    auto* six = reinterpret_cast<sockaddr_in6*>(&server.address);
    if (::inet_pton(AF_INET, text.c_str(), &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons(dns_port);
        server.size = sizeof(*four);
        return server;
    }
    if (::inet_pton(AF_INET6, text.c_str(), &six->sin6_addr) == 1) {
        six->sin6_family = AF_INET6;
        six->sin6_port = htons(dns_port);
        server.size = sizeof(*six);
        return server;
    }
    return Error(ErrorKind::invalid_argument, text + " is not an ip address");
}

/// Ask one server by UDP, from a port and with an id of its own: who does not see them cannot
/// answer in its place.
Task<std::string> ask_datagram(std::string query, DnsQuestion question, std::string server) {
    CO_TRY(const Server to, server_parse(server));
    Fd socket(::socket(to.address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket ||
        ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&to.address), to.size) != 0) {
        co_return Error::from_errno(errno, "connect", server);
    }
    const std::string number = random_hex(2);
    const std::uint16_t asked_id = dns_id(query);
    dns_id_set(query, static_cast<std::uint16_t>(std::stoul(number, nullptr, 16)));
    CO_TRY(Poller poller, Poller::make(socket.get()));
    if (::send(socket.get(), query.data(), query.size(), MSG_NOSIGNAL) < 0) {
        co_return Error::from_errno(errno, "send", server);
    }
    std::string answer(datagram_bytes_max, '\0');
    for (;;) {
        CO_CHECK(co_await poller.readable());
        const ssize_t got = ::recv(socket.get(), answer.data(), answer.size(), 0);
        if (got < 0 && errno != EAGAIN) {
            co_return Error::from_errno(errno, "recv", server);
        }
        const std::string_view view =
            std::string_view(answer).substr(0, got < 0 ? 0 : static_cast<std::size_t>(got));
        if (dns_answers(view, query, question)) {
            answer.resize(view.size());
            dns_id_set(answer, asked_id);
            co_return std::move(answer);
        }
    }
}

Task<void> read_all(ByteStream& stream, std::span<char> buffer) {
    while (!buffer.empty()) {
        CO_TRY(const std::size_t got, co_await stream.read(buffer));
        if (got == 0) {
            co_return Error(ErrorKind::unavailable, "the connection ended");
        }
        buffer = buffer.subspan(got);
    }
    co_return ok;
}

/// One message of a TCP connection, without its length.
Task<std::string> read_message(ByteStream& stream) {
    std::array<char, 2> head{};
    CO_CHECK(co_await read_all(stream, head));
    const std::size_t size = static_cast<std::size_t>(static_cast<unsigned char>(head[0])) << 8 |
                             static_cast<unsigned char>(head[1]);
    std::string message(size, '\0');
    CO_CHECK(co_await read_all(stream, message));
    co_return std::move(message);
}

Task<void> write_message(ByteStream& stream, const std::string& message) {
    std::string framed;
    framed += static_cast<char>(message.size() >> 8);
    framed += static_cast<char>(message.size() & 0xff);
    framed += message;
    co_return co_await stream.write(framed);
}

Task<std::string> ask_stream(std::string query, DnsQuestion question, std::string server) {
    CO_TRY(const std::unique_ptr<FdStream> stream, co_await connect_tcp(server, dns_port));
    CO_CHECK(co_await write_message(*stream, query));
    CO_TRY(std::string answer, co_await read_message(*stream));
    if (!dns_answers(answer, query, question)) {
        co_return Error(ErrorKind::corrupt, "an answer to another question");
    }
    co_return std::move(answer);
}

}  // namespace

Result<ResolverSockets> resolver_sockets_make(const IpAddress& address) {
    ResolverSockets sockets;
    sockaddr_in where = address_of(address, 0);
    socklen_t size = sizeof(where);
    auto* generic = reinterpret_cast<sockaddr*>(&where);
    sockets.connections = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockets.datagrams = Fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!sockets.connections || !sockets.datagrams ||
        ::bind(sockets.connections.get(), generic, size) != 0 ||
        ::listen(sockets.connections.get(), connections_backlog) != 0 ||
        ::getsockname(sockets.connections.get(), generic, &size) != 0 ||
        ::bind(sockets.datagrams.get(), generic, size) != 0) {
        return Error::from_errno(errno, "bind the resolver of", address.str());
    }
    static_cast<void>(::setsockopt(sockets.datagrams.get(),
                                   SOL_SOCKET,
                                   SO_RCVBUFFORCE,
                                   &receive_buffer_bytes,
                                   sizeof(receive_buffer_bytes)));
    sockets.port = ntohs(where.sin_port);
    return sockets;
}

Result<std::unique_ptr<NetworkResolver>> NetworkResolver::open(const IpAddress& gateway,
                                                               const NameSource& names) {
    TRY(ResolverSockets sockets, resolver_sockets_make(gateway));
    return open(std::move(sockets), IpAddress(), names);
}

Result<std::unique_ptr<NetworkResolver>> NetworkResolver::open(ResolverSockets sockets,
                                                               const IpAddress& asker,
                                                               const NameSource& names) {
    TRY(Listener listener, Listener::take(std::move(sockets.connections), sockets.port));
    std::unique_ptr<NetworkResolver> resolver(new NetworkResolver(
        std::move(sockets.datagrams), std::move(listener), sockets.port, names));
    resolver->asker_ = asker;
    resolver->work_.spawn(resolver->serve_datagrams());
    resolver->work_.spawn(resolver->serve_connections());
    return resolver;
}

Task<void> NetworkResolver::close() {
    work_.cancel();
    static_cast<void>(co_await shielded(work_.join()));
    co_return ok;
}

Task<void> NetworkResolver::serve_datagrams() {
    CO_TRY(Poller poller, Poller::make(socket_.get()));
    std::string buffer;
    QuestionQueue waiting;
    std::vector<Datagram> answers;
    MonotonicTime turn_begun = monotonic_now();
    for (;;) {
        // All that has come first: who asks much fills its own queue, not the socket's.
        std::size_t got = 0;
        for (std::size_t more = 1; more > 0 && got < reads_max; got += more) {
            std::vector<Datagram> questions = datagrams_receive(socket_.get(), buffer);
            more = questions.size();
            for (Datagram& question : questions) {
                waiting.push(std::move(question));
            }
        }
        answers.clear();
        for (std::size_t i = 0; i < datagrams_at_once && !waiting.empty(); ++i) {
            answer_datagram(*waiting.pop(), answers);
        }
        datagrams_send(socket_.get(), answers);
        if (monotonic_now() - turn_begun > limits::loop_step_max) {
            co_await yield_now();  // Who always asks more must not have the loop.
            turn_begun = monotonic_now();
        }
        if (got == 0 && waiting.empty()) {
            CO_CHECK(co_await poller.readable());
            turn_begun = monotonic_now();
        }
    }
}

/// What is known here goes to `answers`; others are asked for the rest.
void NetworkResolver::answer_datagram(Datagram question, std::vector<Datagram>& answers) {
    const IpAddress source = IpAddress::v4(ntohl(question.peer.sin_addr.s_addr));
    std::string own = answer_own(question.bytes, asker_of(source));
    if (!own.empty()) {
        answers.push_back({question.peer, std::move(own)});
        return;
    }
    const std::vector<std::string> servers = names_->servers(asker_of(source));
    if (auto kept = cache_.find(question.bytes, servers, monotonic_now())) {
        answers.push_back({question.peer, *std::move(kept)});
        return;
    }
    const auto open = open_of_.find(source);
    if (open_questions_ < questions_max &&
        (open == open_of_.end() || open->second < questions_of_one_max)) {
        work_.spawn(pass_datagram(std::move(question), source));
    }
}

Task<void> NetworkResolver::pass_datagram(Datagram question, IpAddress source) {
    struct Count {
        Count(std::map<IpAddress, std::size_t>& open, const IpAddress& client)
            : open_(open), at_(open.try_emplace(client, 0).first) {
            ++at_->second;
        }

        ~Count() {
            if (--at_->second == 0) {
                open_.erase(at_);
            }
        }

        std::map<IpAddress, std::size_t>& open_;
        std::map<IpAddress, std::size_t>::iterator at_;
    };

    const Count count(open_of_, source);
    std::vector<Datagram> answers(1);
    answers.front().peer = question.peer;
    CO_TRY(answers.front().bytes,
           co_await answer(std::move(question.bytes), asker_of(source), false));
    datagrams_send(socket_.get(), answers);
    co_return ok;
}

Task<void> NetworkResolver::serve_connections() {
    for (;;) {
        CO_TRY(std::unique_ptr<FdStream> stream, co_await listener_.accept());
        if (open_questions_ < questions_max) {
            work_.spawn(serve_connection(std::move(stream)));
        }
    }
}

Task<void> NetworkResolver::serve_connection(std::unique_ptr<FdStream> stream) {
    sockaddr_in from{};
    socklen_t size = sizeof(from);
    if (::getpeername(stream->fd(), reinterpret_cast<sockaddr*>(&from), &size) != 0) {
        co_return Error::from_errno(errno, "getpeername");
    }
    const IpAddress asker = asker_of(IpAddress::v4(ntohl(from.sin_addr.s_addr)));
    for (;;) {
        CO_TRY(std::string query, co_await with_timeout(idle_timeout, read_message(*stream)));
        std::string answered = answer_own(query, asker);
        if (answered.empty()) {
            CO_TRY(answered, co_await answer(std::move(query), asker, true));
        }
        CO_CHECK(co_await with_timeout(idle_timeout, write_message(*stream, answered)));
    }
}

std::string NetworkResolver::answer_own(const std::string& query, const IpAddress& asker) {
    const auto question = dns_question_parse(query);
    if (!question) {
        return "";
    }
    if (question->type == static_cast<std::uint16_t>(DnsType::ptr)) {
        const auto address = dns_reverse_address(question->name);
        const std::string name = address ? names_->name_of(asker, *address) : "";
        return name.empty() ? "" : dns_answer(query, *question, name);
    }
    const bool wants_v4 = question->type == static_cast<std::uint16_t>(DnsType::a);
    if (!wants_v4 && question->type != static_cast<std::uint16_t>(DnsType::aaaa)) {
        return "";
    }
    NameSource::Found found = names_->find(asker, question->name);
    if (!found.known) {
        return "";
    }
    // The name may be there without an address of this family.
    std::erase_if(found.addresses,
                  [&](const IpAddress& address) { return address.is_v4() != wants_v4; });
    if (found.addresses.size() > 1) {
        const std::size_t shift = turn_++ % found.addresses.size();
        std::ranges::rotate(found.addresses,
                            found.addresses.begin() + static_cast<std::ptrdiff_t>(shift));
    }
    return dns_answer(query, *question, found.addresses);
}

Task<std::string> NetworkResolver::answer(std::string query, IpAddress asker, bool by_tcp) {
    struct Count {
        explicit Count(std::size_t& open) : open_(open) { ++open_; }

        ~Count() { --open_; }

        std::size_t& open_;
    };

    const Count count(open_questions_);
    CO_TRY(const DnsQuestion question, dns_question_parse(query));
    std::string refused;
    const std::vector<std::string> servers = names_->servers(asker);
    for (const std::string& server : servers) {
        Task<std::string> ask =
            by_tcp ? ask_stream(query, question, server) : ask_datagram(query, question, server);
        Result<std::string> answered = co_await with_timeout(server_timeout, std::move(ask));
        if (!answered && answered.error().kind() == ErrorKind::cancelled) {
            co_return std::move(answered);
        }
        if (!answered) {
            continue;
        }
        const DnsCode code = dns_code(*answered);
        if (code == DnsCode::success || code == DnsCode::name_error) {
            if (!by_tcp) {
                cache_.put(query, servers, *answered, monotonic_now());
            }
            co_return std::move(answered);
        }
        refused = *std::move(answered);  // The next one may know better.
    }
    if (refused.empty()) {
        refused = dns_failure(query, question, DnsCode::server_failure);
    }
    co_return std::move(refused);
}

}  // namespace davit
