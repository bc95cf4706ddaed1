#include "tests/unit/cli/fake_daemon.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <charconv>

#include "cli/command.h"
#include "tests/support/catch.h"

namespace davit::test {

namespace {

/// Bytes of one connection, read as they are needed.
class Input {
  public:
    explicit Input(FdStream& stream) : stream_(stream) {}

    /// Up to and without the separator; nothing at the end of the stream.
    Task<std::optional<std::string>> until(std::string separator) {
        for (;;) {
            const std::size_t end = buffer_.find(separator);
            if (end != std::string::npos) {
                std::string text = buffer_.substr(0, end);
                buffer_.erase(0, end + separator.size());
                co_return std::optional<std::string>(std::move(text));
            }
            CO_TRY(const bool more, co_await fill());
            if (!more) {
                co_return std::optional<std::string>{};
            }
        }
    }

    Task<std::string> exactly(std::size_t count) {
        while (buffer_.size() < count) {
            CO_TRY(const bool more, co_await fill());
            if (!more) {
                co_return Error(ErrorKind::unavailable, "early end");
            }
        }
        std::string text = buffer_.substr(0, count);
        buffer_.erase(0, count);
        co_return std::move(text);
    }

  private:
    Task<bool> fill() {
        std::array<char, 4096> part{};
        CO_TRY(const std::size_t got, co_await stream_.read(part));
        buffer_.append(part.data(), got);
        co_return got > 0;
    }

    FdStream& stream_;
    std::string buffer_;
};

Task<std::string> body_read(Input& input, const Headers& headers) {
    std::string body;
    if (headers.has_token("Transfer-Encoding", "chunked")) {
        for (;;) {
            CO_TRY(const auto line, co_await input.until("\r\n"));
            std::size_t size = 0;
            std::from_chars(line->data(), line->data() + line->size(), size, 16);
            CO_TRY(const std::string chunk, co_await input.exactly(size));
            CO_TRY(const std::string end, co_await input.exactly(2));
            body += chunk;
            if (size == 0) {
                co_return std::move(body);
            }
        }
    }
    const std::string length(headers.get("Content-Length"));
    if (!length.empty()) {
        CO_TRY(body, co_await input.exactly(std::stoul(length)));
    }
    co_return std::move(body);
}

FakeRequest head_parse(const std::string& head) {
    FakeRequest request;
    std::size_t place = head.find(' ');
    request.method = head.substr(0, place);
    const std::size_t end = head.find(' ', place + 1);
    request.target = head.substr(place + 1, end - place - 1);
    if (request.target.starts_with("/v1.")) {
        const std::size_t slash = request.target.find('/', 1);
        request.version = request.target.substr(2, slash - 2);
        request.target.erase(0, slash);
    }
    place = head.find("\r\n");
    while (place != std::string::npos) {
        place += 2;
        const std::size_t line_end = std::min(head.find("\r\n", place), head.size());
        const std::string line = head.substr(place, line_end - place);
        const std::size_t colon = line.find(": ");
        request.headers.add(line.substr(0, colon), line.substr(colon + 2));
        place = line_end == head.size() ? std::string::npos : line_end;
    }
    return request;
}

std::string fd_text(int fd) {
    std::string text;
    std::array<char, 4096> part{};
    ::lseek(fd, 0, SEEK_SET);
    for (ssize_t got = 0; (got = ::read(fd, part.data(), part.size())) > 0;) {
        text.append(part.data(), static_cast<std::size_t>(got));
    }
    return text;
}

Task<int> run_beside(FakeDaemon& daemon, cli::StandardFds fds, std::vector<const char*> words) {
    TaskGroup group(GroupPolicy::independent);
    group.spawn(daemon.serve());
    Result<int> code = co_await cli::command_line_run(fds, words);
    group.cancel();
    static_cast<void>(co_await group.join());
    co_return std::move(code);
}

int run_in_loop(FakeDaemon& daemon, cli::StandardFds fds, const std::vector<std::string>& words) {
    const std::string host = daemon.host();
    std::vector<const char*> all{"--config", daemon.directory().c_str(), "--host", host.c_str()};
    for (const std::string& word : words) {
        all.push_back(word.c_str());
    }
    const Result<int> code = Loop::current().run(run_beside(daemon, fds, std::move(all)));
    REQUIRE(code);
    return *code;
}

}  // namespace

FakeDaemon::FakeDaemon() {
    std::string name = "/tmp/davit-cli-test.XXXXXX";
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    directory_ = name;
    auto listener = Listener::unix_socket(directory_ + "/socket");
    REQUIRE(listener);
    listener_.emplace(*std::move(listener));
}

FakeDaemon::~FakeDaemon() {
    static_cast<void>(remove_tree(AT_FDCWD, directory_));
}

void FakeDaemon::on(std::string route, FakeHandler handler) {
    handlers_[std::move(route)] = std::move(handler);
}

void FakeDaemon::answer(std::string route, int status, std::string body) {
    on(std::move(route), [status, body = std::move(body)](FakeRequest, FdStream& stream) {
        return write_answer(stream, status, body);
    });
}

std::vector<std::string> FakeDaemon::routes() const {
    std::vector<std::string> all;
    for (const FakeRequest& request : requests) {
        all.push_back(request.method + " " + request.path());
    }
    return all;
}

const FakeRequest& FakeDaemon::request(std::string_view route) const {
    for (const FakeRequest& request : requests) {
        if (request.method + " " + request.path() == route) {
            return request;
        }
    }
    FAIL("no request " << route);
    return requests.front();
}

Task<void> FakeDaemon::serve() {
    TaskGroup serving(GroupPolicy::independent);
    for (;;) {
        Result<std::unique_ptr<FdStream>> stream = co_await listener_->accept();
        if (!stream) {
            break;
        }
        serving.spawn(serve_connection(*std::move(stream)));
    }
    serving.cancel();
    co_return co_await serving.join();
}

Task<void> FakeDaemon::serve_connection(std::unique_ptr<FdStream> stream) {
    Input input(*stream);
    bool counted = false;
    for (;;) {
        CO_TRY(const std::optional<std::string> head, co_await input.until("\r\n\r\n"));
        if (!head) {
            co_return ok;
        }
        connections += std::exchange(counted, true) ? 0 : 1;
        FakeRequest request = head_parse(*head);
        CO_TRY(request.body, co_await body_read(input, request.headers));
        requests.push_back(request);
        const auto place = handlers_.find(request.method + " " + request.path());
        if (place == handlers_.end()) {
            CO_CHECK(co_await write_answer(*stream, 404, "{\"message\":\"page not found\"}"));
            continue;
        }
        const bool upgrade = request.headers.contains("Upgrade");
        FakeHandler handler = place->second;
        CO_CHECK(co_await handler(std::move(request), *stream));
        if (upgrade) {
            co_return ok;
        }
    }
}

Task<void> write_answer(FdStream& stream, int status, std::string body) {
    std::string text = "HTTP/1.1 " + std::to_string(status) + " Status\r\n";
    if (status != 204 && status != 304) {
        text += "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
                "\r\n";
    }
    text += "\r\n" + body;
    co_return co_await stream.write(text);
}

Task<void> write_chunk_head(FdStream& stream) {
    co_return co_await stream.write(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
}

Task<void> write_chunk(FdStream& stream, std::string text) {
    std::array<char, 16> size{};
    const auto end = std::to_chars(size.data(), size.data() + size.size(), text.size(), 16).ptr;
    const std::string chunk = std::string(size.data(), end) + "\r\n" + text + "\r\n";
    co_return co_await stream.write(chunk);
}

Task<void> write_chunk_end(FdStream& stream) {
    co_return co_await stream.write("0\r\n\r\n");
}

Task<void> write_upgrade(FdStream& stream) {
    co_return co_await stream.write(
        "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\n"
        "Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n");
}

std::string frame(int stream, std::string_view text) {
    std::string bytes(8, '\0');
    bytes[0] = static_cast<char>(stream);
    for (std::size_t i = 0; i < 4; ++i) {
        bytes[7 - i] = static_cast<char>(text.size() >> (8 * i));
    }
    return bytes.append(text);
}

CliResult cli_run(FakeDaemon& daemon, std::vector<std::string> words, std::string_view in) {
    Result<Pipe> input = pipe_make();
    REQUIRE(input);
    REQUIRE(write_all(input->write_end.get(), in));
    input->write_end.reset();
    const Fd out(::memfd_create("out", MFD_CLOEXEC));
    const Fd err(::memfd_create("err", MFD_CLOEXEC));
    CliResult result;
    result.code = run_in_loop(daemon, {input->read_end.get(), out.get(), err.get()}, words);
    result.out = fd_text(out.get());
    result.err = fd_text(err.get());
    return result;
}

int cli_run_on_terminal(FakeDaemon& daemon, std::vector<std::string> words, int terminal) {
    return run_in_loop(daemon, {terminal, terminal, terminal}, words);
}

}  // namespace davit::test
