#include "tests/integration/libcontainer/harness.h"

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "tests/support/catch.h"

namespace davit::test {

namespace {

void must(const Result<void>& result) {
    if (!result) {
        FAIL(result.error().message());
    }
}

}  // namespace

std::string read_to_end(int fd) {
    std::string text;
    char buffer[4096];
    for (;;) {
        const ssize_t got = ::read(fd, buffer, sizeof(buffer));
        if (got <= 0) {
            return text;
        }
        text.append(buffer, static_cast<std::size_t>(got));
    }
}

void require_root() {
    if (::geteuid() != 0) {
        std::puts("needs root: creates namespaces and mounts");
        std::exit(77);
    }
    if (::access("/bin/busybox", X_OK) != 0) {
        std::puts("needs /bin/busybox (package busybox-static)");
        std::exit(77);
    }
}

Rootfs::Rootfs() {
    char name[] = "/tmp/davit-rootfs-XXXXXX";
    REQUIRE(::mkdtemp(name) != nullptr);
    base_ = name;
    REQUIRE(::chmod(base_.c_str(), 0755) == 0);
    path_ = base_ + "/rootfs";
    const auto busybox = file_read("/bin/busybox", 16 * 1024 * 1024);
    REQUIRE(busybox);
    file("bin/busybox", *busybox, 0755);
    for (const char* applet :
         {"sh",   "cat",   "true", "id",    "hostname", "ls",    "mount", "echo",
          "test", "touch", "grep", "mkdir", "pwd",      "sleep", "stat",  "dd",
          "tty",  "kill",  "head", "umask", "readlink", "wc",    "ip",    "env"}) {
        symlink("busybox", std::string("bin/") + applet);
    }
    file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1000:web:/home/web:/bin/sh\n");
    file("etc/group", "root:x:0:\nweb:x:1000:\nstaff:x:50:web\n");
}

Rootfs::~Rootfs() {
    const auto removed = remove_tree(AT_FDCWD, base_);
    if (!removed) {
        std::fprintf(stderr, "%s\n", removed.error().message().c_str());
    }
}

void Rootfs::file(const std::string& name, const std::string& text, unsigned mode) const {
    const std::string full = path_ + "/" + name;
    must(make_directories(full.substr(0, full.rfind('/'))));
    const auto fd = Fd::open(full, O_WRONLY | O_CREAT | O_TRUNC, mode);
    REQUIRE(fd);
    must(write_all(fd->get(), text));
    REQUIRE(::fchmod(fd->get(), mode) == 0);
}

void Rootfs::directory(const std::string& name) const {
    must(make_directories(path_ + "/" + name));
}

void Rootfs::symlink(const std::string& target, const std::string& name) const {
    REQUIRE(::symlink(target.c_str(), (path_ + "/" + name).c_str()) == 0);
}

void Rootfs::remove(const std::string& name) const {
    must(remove_tree(AT_FDCWD, path_ + "/" + name));
}

Fd Rootfs::mount() const {
    auto tree = open_tree_clone(AT_FDCWD, path_, false);
    REQUIRE(tree);
    return *std::move(tree);
}

ContainerSpec spec_for(std::vector<std::string> arguments) {
    auto spec = container_spec_default({});
    REQUIRE(spec);
    spec->id = "test";
    spec->hostname = "davit-test";
    spec->process.arguments = std::move(arguments);
    spec->process.environment = {
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"};
    return *std::move(spec);
}

ContainerSpec spec_for_shell(const std::string& script) {
    return spec_for({"/bin/sh", "-c", script});
}

ExitStatus reap(const PidRef& process) {
    pollfd waited{.fd = process.pidfd(), .events = POLLIN, .revents = 0};
    while (::poll(&waited, 1, -1) < 0) {
    }
    const auto status = process.try_reap();
    REQUIRE(status);
    REQUIRE(status->has_value());
    return **status;
}

InitEvent next_event(int channel) {
    for (;;) {
        pollfd waited{.fd = channel, .events = POLLIN, .revents = 0};
        ::poll(&waited, 1, -1);
        auto event = init_channel_receive(channel);
        if (!event) {
            FAIL(event.error().message());
        }
        if (event->has_value()) {
            return *std::move(*event);
        }
    }
}

const Fd& init_binary() {
    static const Fd init = [] {
        auto opened = init_binary_open();
        REQUIRE(opened);
        return *std::move(opened);
    }();
    return init;
}

Running::Running(const Rootfs& rootfs, ContainerSpec spec) {
    const auto plan = plan_compile(spec);
    REQUIRE(plan);
    const auto plan_fd = plan_memory_file(*plan);
    REQUIRE(plan_fd);
    const Fd root = rootfs.mount();
    const std::array<int, 1> registers = {root.get()};
    auto out = pipe_make();
    REQUIRE(out);
    LaunchRequest request;
    request.init_fd = init_binary().get();
    request.plan_fd = plan_fd->get();
    request.clone_flags = plan->clone_flags;
    request.registers = registers;
    request.stdio = {-1, out->write_end.get(), -1};
    auto launched = launch(request);
    REQUIRE(launched);
    REQUIRE(next_event(launched->channel.get()).kind == InitEvent::Kind::closed);
    init_ = std::move(launched->init);
    output_ = std::move(out->read_end);
}

Running::~Running() {
    if (init_) {
        end();
    }
}

void Running::end() {
    static_cast<void>(init_.signal(SIGKILL));
    reap(init_);
    init_ = PidRef{};
}

Outcome run_with(const ContainerSpec& spec,
                 const Fd& root,
                 std::vector<int> further_registers,
                 int cgroup_fd) {
    Outcome outcome;
    const auto plan = plan_compile(spec);
    if (!plan) {
        outcome.error = plan.error();
        return outcome;
    }
    const auto plan_fd = plan_memory_file(*plan);
    REQUIRE(plan_fd);
    auto out = pipe_make();
    REQUIRE(out);
    std::vector<int> registers = {root.get()};
    registers.insert(registers.end(), further_registers.begin(), further_registers.end());
    LaunchRequest request;
    request.init_fd = init_binary().get();
    request.plan_fd = plan_fd->get();
    request.clone_flags = plan->clone_flags;
    request.registers = registers;
    request.stdio = {-1, out->write_end.get(), out->write_end.get()};
    request.cgroup_fd = cgroup_fd;
    auto launched = launch(request);
    if (!launched) {
        outcome.error = launched.error();
        return outcome;
    }
    out->write_end.reset();
    PidRef forked;
    for (;;) {
        InitEvent event = next_event(launched->channel.get());
        if (event.kind == InitEvent::Kind::warning) {
            outcome.warnings.push_back(event.text);
        } else if (event.kind == InitEvent::Kind::console) {
            outcome.console = std::move(event.console);
        } else if (event.kind == InitEvent::Kind::failed) {
            outcome.error = std::move(event.error);
        } else if (event.kind == InitEvent::Kind::process) {
            forked = std::move(event.process);
        } else {
            break;
        }
    }
    outcome.output = read_to_end(outcome.console ? outcome.console.get() : out->read_end.get());
    outcome.status = reap(launched->init);
    if (forked) {
        outcome.status = reap(forked);
    }
    return outcome;
}

Outcome run(const ContainerSpec& spec, const Rootfs& rootfs, int cgroup_fd) {
    const Fd root = rootfs.mount();
    return run_with(spec, root, {}, cgroup_fd);
}

}  // namespace davit::test
