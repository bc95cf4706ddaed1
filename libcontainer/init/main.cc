#include <linux/close_range.h>
#include <linux/fcntl.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/stat.h>

#include <asm/errno.h>
#include <asm/fcntl.h>
#include <asm/signal.h>

#include "libcontainer/init/init.h"
#include "libcontainer/init/program.h"
#include "libcontainer/init/socket_message.h"

namespace davit::init {

namespace {

constexpr int exit_code_failed = 127;

// Far too large for the stack of a fresh process to be touched cheaply; zero pages until used.
State the_state;

long message_send(const plan::Message& message, void* control, size_t control_size) {
    raw::IoVector vector = {&message, sizeof(message)};
    raw::MessageHeader header = {nullptr, 0, &vector, 1, control, control_size, 0};
    long sent = -EINTR;
    while (sent == -EINTR) {
        sent = raw::call(__NR_sendmsg, plan::channel_fd, &header, raw::no_signal);
    }
    return sent;
}

void message_fill(plan::Message& message,
                  plan::MessageKind kind,
                  const plan::Operation* operation,
                  long error) {
    message.magic = plan::magic;
    message.kind = kind;
    message.error_number = static_cast<int32_t>(-error);
    if (operation != nullptr && operation->header != nullptr) {
        message.operation = operation->header->kind;
        message.operation_index = operation->index;
    }
}

[[noreturn]] void report_and_quit(State& state, const plan::Operation* operation, long error) {
    plan::Message message = {};
    message_fill(message, plan::MessageKind::failed, operation, error);
    message.detail = state.failure.detail;
    copy_text(message.call, sizeof(message.call), state.failure.call);
    copy_text(message.subject, sizeof(message.subject), state.failure.subject);
    message_send(message, nullptr, 0);
    raw::quit(exit_code_failed);
}

/// Tell the daemon that everything is set up, and wait until it has written down who we are.
long wait_for_release(State& state, const plan::Operation& operation) {
    plan::Message message = {};
    message_fill(message, plan::MessageKind::ready, &operation, 0);
    const long sent = message_send(message, nullptr, 0);
    if (sent < 0) {
        return fail(state, "sendmsg", "", sent);
    }
    char byte = 0;
    long got = -EINTR;
    while (got == -EINTR) {
        got = raw::call(__NR_read, plan::channel_fd, &byte, 1);
    }
    if (got != 1 || byte != plan::release_byte) {
        raw::quit(exit_code_failed);  // The daemon is gone or has given up: nobody is left to tell.
    }
    return 0;
}

/// A message of the daemon's: one byte, and the descriptors that come with it.
template <size_t count_max>
char message_receive(raw::Descriptors<count_max>& control) {
    char byte = 0;
    raw::IoVector vector = {&byte, 1};
    raw::MessageHeader header = {nullptr, 0, &vector, 1, &control, sizeof(control), 0};
    long got = -EINTR;
    while (got == -EINTR) {
        got = raw::call(__NR_recvmsg, plan::channel_fd, &header, raw::close_on_exec);
    }
    if (header.control_size < control.head_bytes) {
        control.size = 0;  // None came: the kernel has written nothing.
    }
    return got == 1 ? byte : '\0';
}

[[noreturn]] void plan_follow(State& state, int plan, const int* registers, size_t count);

/// Say that the sandbox is ready, wait for its container, and become that.
[[noreturn]] void hand_over(State& state, const plan::Operation& operation) {
    plan::Message message = {};
    message_fill(message, plan::MessageKind::ready, &operation, 0);
    raw::Descriptors<plan::hand_over_fds_max> control;
    if (message_send(message, nullptr, 0) < 0 || message_receive(control) != plan::hand_over_byte ||
        control.count() < plan::hand_over_fds_min) {
        raw::quit(exit_code_failed);  // The daemon is gone, or has no use for us.
    }
    for (int i = 0; i < 3; ++i) {
        raw::call(__NR_dup3, control.fds[1 + i], i, 0);
        descriptor_close(control.fds[1 + i]);
    }
    plan_follow(state,
                control.fds[0],
                control.fds + plan::hand_over_fds_min,
                control.count() - plan::hand_over_fds_min);
}

/// Send a descriptor along with a message.
long descriptor_send(State& state, const plan::Message& message, int fd, const char* what) {
    raw::Descriptors<1> control(1);
    control.fds[0] = fd;
    const long sent = message_send(message, &control, sizeof(control));
    return sent < 0 ? fail(state, "sendmsg", what, sent) : 0;
}

/// Go on as a child in the joined pid namespace, which setns(2) gives to children only, or in a new
/// one. It becomes the daemon's child and not ours, and does nothing until the daemon has been told
/// of it: whatever ends us meanwhile ends it, too.
long fork_inside(State& state, const plan::Operation& operation) {
    const plan::OperationHeader& header = *operation.header;
    if ((header.flags & plan::flag_registers) == 0) {
        for (int i = 0; i < state.passed; ++i) {
            if (header.b != static_cast<uint64_t>(i) + 1) {
                descriptor_close(state.registers[i]);  // Nothing of the host's goes along.
            }
        }
    }
    // We lead a session, and so a process group, by which the daemon finds the child if we end
    // before we can tell.
    int turn[2] = {-1, -1};
    long done = raw::call(__NR_pipe2, turn, O_CLOEXEC);
    if (done < 0) {
        return fail(state, "pipe2", "", done);
    }
    int pidfd = -1;
    const long pid = raw::call(__NR_clone, CLONE_PARENT | CLONE_PIDFD | header.a, nullptr, &pidfd);
    if (pid < 0) {
        return fail(state, "clone", "", pid);
    }
    char byte = plan::release_byte;
    if (pid == 0) {
        // Other credentials may have made us dumpable again.
        raw::call(__NR_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0);
        descriptor_close(turn[1]);
        done = raw::call(__NR_read, turn[0], &byte, 1);
        descriptor_close(turn[0]);
        if (done != 1) {
            raw::quit(exit_code_failed);
        }
        return 0;
    }
    plan::Message message = {};
    message_fill(message, plan::MessageKind::process, &operation, 0);
    message.value = static_cast<int32_t>(pid);
    if (descriptor_send(state, message, pidfd, "process") == 0) {
        raw::call(__NR_write, turn[1], &byte, 1);
        raw::quit(0);
    }
    raw::quit(exit_code_failed);  // The daemon is gone.
}

long text_call(State& state, long number, const char* name, const plan::Operation& operation) {
    plan::Strings strings(operation);
    const char* text = strings.next();
    const long done = raw::call(number, text, length(text));
    return done < 0 ? fail(state, name, text, done) : 0;
}

long process_step(State& state, const plan::Operation& operation) {
    switch (operation.header->kind) {
        case plan::Kind::hostname:
            return text_call(state, __NR_sethostname, "sethostname", operation);
        case plan::Kind::domainname:
            return text_call(state, __NR_setdomainname, "setdomainname", operation);
        case plan::Kind::loopback_up:
            return loopback_up(state, operation);
        case plan::Kind::session:
            return session(state, operation);
        case plan::Kind::terminal:
            return terminal(state, operation);
        case plan::Kind::resource_limit:
            return resource_limit(state, operation);
        case plan::Kind::credentials:
            return credentials(state, operation);
        case plan::Kind::capabilities:
            return capabilities(state, operation);
        case plan::Kind::working_directory:
            return working_directory(state, operation);
        case plan::Kind::file_mode_mask:
            raw::call(__NR_umask, operation.header->a);
            return 0;
        case plan::Kind::gate:
            return wait_for_release(state, operation);
        case plan::Kind::no_new_privileges: {
            const long done = raw::call(__NR_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
            return done < 0 ? fail(state, "prctl(NO_NEW_PRIVS)", "", done) : 0;
        }
        case plan::Kind::seccomp:
            return seccomp_load(state, operation);
        case plan::Kind::execute:
            return execute(state, operation);
        case plan::Kind::find_program:
            return find_program(state, operation);
        case plan::Kind::start_wait:
            return start_wait(state, operation);
        case plan::Kind::resolve_user:
            return resolve_user(state, operation);
        case plan::Kind::fork:
            return fork_inside(state, operation);
        case plan::Kind::give_stdio:
            return give_stdio(state, operation);
        case plan::Kind::become_root:
            return become_root(state, operation);
        case plan::Kind::hand_over:
            hand_over(state, operation);
        default:
            return -EINVAL;
    }
}

long step(State& state, const plan::Operation& operation) {
    switch (operation.header->kind) {
        case plan::Kind::join_cgroup:
            return join_cgroup(state, operation);
        case plan::Kind::join_namespace:
            return join_namespace(state, operation);
        case plan::Kind::unshare:
            return unshare_namespaces(state, operation);
        case plan::Kind::oom_score_adjust:
            return oom_score_adjust(state, operation);
        case plan::Kind::open_source:
            return open_source(state, operation);
        case plan::Kind::mount_attributes:
            return mount_attributes(state, operation);
        case plan::Kind::enter_root:
            return enter_root(state, operation);
        case plan::Kind::open_root:
            return open_root(state, operation);
        case plan::Kind::mount_filesystem:
            return mount_filesystem(state, operation);
        case plan::Kind::make_filesystem:
            return make_filesystem(state, operation);
        case plan::Kind::map_ids:
            return map_ids(state, operation);
        case plan::Kind::work_in:
            state.root = state.registers[operation.header->reg];
            return 0;
        case plan::Kind::attach:
            return attach(state, operation);
        case plan::Kind::remount:
            return remount(state, operation);
        case plan::Kind::make_device:
            return make_device(state, operation);
        case plan::Kind::make_symlink:
            return make_symlink(state, operation);
        case plan::Kind::make_directory:
            return make_directory(state, operation);
        case plan::Kind::mask_path:
            return mask_path(state, operation);
        case plan::Kind::readonly_path:
            return readonly_path(state, operation);
        case plan::Kind::apparmor:
            return apparmor(state, operation);
        case plan::Kind::sysctl:
            return sysctl(state, operation);
        default:
            return process_step(state, operation);
    }
}

/// Everything that a parent may have left in this process which the container must not see.
void self_clean() {
    raw::call(__NR_close_range, plan::channel_fd, ~0U, CLOSE_RANGE_CLOEXEC);
    // Nobody may trace or read this process while it still holds the host's descriptors.
    raw::call(__NR_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0);

    struct {
        void* handler;
        unsigned long flags;
        void* restorer;
        unsigned long mask;
    } action = {};

    constexpr int signals = 64;
    for (int number = 1; number <= signals; ++number) {
        raw::call(__NR_rt_sigaction, number, &action, nullptr, sizeof(action.mask));
    }
    unsigned long mask = 0;
    constexpr int set_mask = 2;  // SIG_SETMASK
    raw::call(__NR_rt_sigprocmask, set_mask, &mask, nullptr, sizeof(mask));
    raw::call(__NR_umask, 0);
}

/// The plan, mapped; its descriptor is closed.
const uint8_t* plan_map(State& state, int plan, size_t& size) {
    struct statx info = {};
    long result = raw::call(__NR_statx, plan, "", 0x1000 /* AT_EMPTY_PATH */, STATX_SIZE, &info);
    if (result < 0) {
        report_and_quit(state, nullptr, fail(state, "statx", "plan", result));
    }
    size = info.stx_size;
    constexpr long readable = 1;                // PROT_READ
    constexpr long populated_private = 0x8002;  // MAP_PRIVATE | MAP_POPULATE
    result = raw::call(__NR_mmap, nullptr, size, readable, populated_private, plan, 0);
    if (result < 0 && result > -4096) {
        report_and_quit(state, nullptr, fail(state, "mmap", "plan", result));
    }
    descriptor_close(plan);
    return reinterpret_cast<const uint8_t*>(result);
}

/// Execute a plan with the registers that came with it. It does not come back.
[[noreturn]] void plan_follow(State& state, int plan, const int* registers, size_t count) {
    size_t size = 0;
    const uint8_t* bytes = plan_map(state, plan, size);
    plan::Operation operation = {};
    plan::Reader check(bytes, size);
    while (check.next(operation)) {
    }
    plan::Reader reader(bytes, size);
    if (!check.done() || (registers != nullptr && reader.header().fd_count != count)) {
        report_and_quit(state, nullptr, fail(state, "read", "plan", -EBADMSG));
    }
    state.passed = reader.header().fd_count;
    for (int i = 0; i < state.passed; ++i) {
        state.registers[i] = registers != nullptr ? registers[i] : plan::first_register_fd + i;
    }
    while (reader.next(operation)) {
        const long done = step(state, operation);
        if (done < 0) {
            report_and_quit(state, &operation, done);
        }
    }
    // A plan ends in execute or hand_over, which do not come back.
    report_and_quit(state, nullptr, fail(state, "read", "plan without exec", -EBADMSG));
}

}  // namespace

long fail(State& state, const char* call, const char* subject, long error) {
    state.failure.call = call;
    copy_text(state.failure.subject, sizeof(state.failure.subject), subject);
    return error;
}

void warn(State& /*state*/, const plan::Operation& operation, const char* text, long error) {
    plan::Message message = {};
    message_fill(message, plan::MessageKind::warning, &operation, error);
    copy_text(message.subject, sizeof(message.subject), text);
    message_send(message, nullptr, 0);
}

long console_send(State& state, const plan::Operation& operation, int master) {
    plan::Message message = {};
    message_fill(message, plan::MessageKind::console, &operation, 0);
    return descriptor_send(state, message, master, "console");
}

}  // namespace davit::init

extern "C" void davit_main(long* /*stack*/) {
    davit::init::self_clean();
    davit::init::plan_follow(davit::init::the_state, davit::plan::plan_fd, nullptr, 0);
}
