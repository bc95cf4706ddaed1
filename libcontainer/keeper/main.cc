// The keeper: the parent of the daemon. It starts the daemon, starts it again when it dies,
// inherits its containers (it is a child subreaper), holds their descriptors and remembers how they
// ended (protocol.h). It runs without a C library, for the reason that davit-init does, and to be
// small: it is there for as long as the host is up.
//
// Its arguments: "davit", "keeper", the path of davit, and what `davit daemon` was given. What it
// executes is whatever is at that path, so that an upgrade is a new file and SIGUSR2; if nothing is
// there any more, the file it was made from (descriptor `executable_fd`).
#include <linux/fcntl.h>
#include <linux/poll.h>
#include <linux/prctl.h>
#include <linux/signalfd.h>
#include <linux/wait.h>

#include <asm/errno.h>
#include <asm/fcntl.h>
#include <asm/siginfo.h>
#include <asm/signal.h>

#include "libcontainer/init/program.h"
#include "libcontainer/init/syscall.h"
#include "libcontainer/keeper/keeper.h"
#include "libcontainer/keeper/state.h"

namespace davit::keeper {

Keeper k;

int64_t now_ns(int clock) {
    struct {
        int64_t seconds;
        int64_t nanoseconds;
    } time = {};

    raw::call(__NR_clock_gettime, clock, &time);
    return time.seconds * second_ns + time.nanoseconds;
}

void stop_daemon() {
    raw::call(__NR_kill, k.daemon, SIGTERM);
}

namespace {

constexpr int64_t delay_first_ns = second_ns / 10;
constexpr int64_t delay_max_ns = 10 * second_ns;
/// For one that had come so far as to serve: its clients wait.
constexpr int64_t delay_served_max_ns = second_ns;
/// A daemon that served for so long did not crash because of how it started.
constexpr int64_t healthy_ns = 10 * second_ns;

void say(const char* text, long number = -1) {
    char line[160] = "davit keeper: ";
    size_t size = 14;
    while (*text != '\0' && size < sizeof(line) - 24) {
        line[size++] = *text++;
    }
    if (number >= 0) {
        char digits[20];
        size_t count = 0;
        do {
            digits[count++] = static_cast<char>('0' + number % 10);
            number /= 10;
        } while (number > 0);
        line[size++] = ' ';
        while (count > 0) {
            line[size++] = digits[--count];
        }
    }
    line[size++] = '\n';
    raw::call(__NR_write, 2, static_cast<const char*>(line), size);
}

// --- Children -----------------------------------------------------------------------------------

[[noreturn]] void daemon_exec(int socket) {
    raw::call(__NR_setpgid, 0, 0);  // A terminal's ^C is the keeper's to pass on.
    if (socket == socket_fd) {
        raw::call(__NR_fcntl, socket, F_SETFD, 0);
    } else {
        raw::call(__NR_dup3, socket, socket_fd, 0);
    }
    raw::call(__NR_prlimit64, 0, RLIMIT_NOFILE, &k.descriptors_before, nullptr);
    raw::call(__NR_rt_sigprocmask, SIG_SETMASK, &k.mask_before, nullptr, sizeof(k.mask_before));
    raw::call(__NR_execve, k.path, k.arguments, k.environment);
    raw::call(__NR_execveat, k.executable, "", k.arguments, k.environment, AT_EMPTY_PATH);
    say("cannot execute the daemon");
    raw::quit(127);
}

void daemon_start() {
    constexpr int seqpacket_cloexec = 5 | O_CLOEXEC;
    int ends[2] = {-1, -1};
    k.ready = k.leave_wanted = k.upgrading = false;
    k.talk = Talk::nothing;
    long done = raw::call(__NR_socketpair, 1 /* AF_UNIX */, seqpacket_cloexec, 0, ends);
    if (done >= 0) {
        done = raw::call(__NR_clone, SIGCHLD, nullptr);
        if (done == 0) {
            daemon_exec(ends[1]);
        }
        raw::call(__NR_close, ends[1]);
    }
    if (done < 0) {
        say("cannot start the daemon: errno", -done);
        if (ends[0] >= 0) {
            raw::call(__NR_close, ends[0]);
        }
        k.start_at = now_ns(clock_monotonic) + delay_max_ns;
        return;
    }
    k.daemon = done;
    k.socket = ends[0];
}

void daemon_ended(bool by_signal, int value) {
    socket_drain();  // To its end: what it said before it died counts.
    if (k.socket >= 0) {
        raw::call(__NR_close, k.socket);
        k.socket = -1;
    }
    k.daemon = 0;
    const bool orderly = !by_signal && value == 0;
    // One that crashes instead of stopping is started once more, to end the containers.
    const bool stopped = k.stopping && (orderly || (by_signal && value == SIGTERM) || k.stop_again);
    if (stopped || (orderly && !k.upgrading) || !k.ever_ready) {
        raw::quit(by_signal ? 128 + value : value);
    }
    k.stop_again = k.stopping;
    const int64_t now = now_ns(clock_monotonic);
    k.start_at = now;
    if (orderly) {
        say("the daemon has made room for another one");
        k.crashes = 0;
        return;
    }
    say(by_signal ? "the daemon is started again: it was ended by signal"
                  : "the daemon is started again: it exited with",
        value);
    if (k.ready && now - k.ready_since >= healthy_ns) {
        k.crashes = 0;
    }
    if (k.crashes > 0 && !k.stopping) {
        const int64_t most = k.ready ? delay_served_max_ns : delay_max_ns;
        int64_t delay = delay_first_ns;
        for (uint32_t i = 1; i < k.crashes && delay < most; ++i) {
            delay *= 2;
        }
        k.start_at += delay < most ? delay : most;
    }
    ++k.crashes;
}

Slot* slot_of(int32_t pid) {
    for (uint32_t i = 0; i < k.slots_end; ++i) {
        Slot& slot = k.slots[i];
        if (slot.used && slot.pid == pid && slot.exit == Exit::none) {
            return &slot;
        }
    }
    return nullptr;
}

void child_ended(int32_t pid, bool by_signal, int value) {
    if (pid == k.daemon) {
        return daemon_ended(by_signal, value);
    }
    Slot* slot = slot_of(pid);
    if (slot == nullptr) {
        socket_drain();  // It may just have been handed over, by a daemon that died since.
        slot = slot_of(pid);
    }
    if (slot != nullptr) {
        slot->exit = by_signal ? Exit::signal : Exit::code;
        slot->exit_value = value;
        slot->exit_time_ns = now_ns(clock_realtime);
        slot->told = false;
        if (k.talk == Talk::exits) {
            k.talk_next = 0;
        }
    }
}

void children_reap() {
    for (;;) {
        siginfo_t info = {};
        const long done = raw::call(__NR_waitid, P_ALL, 0, &info, WEXITED | WNOHANG, nullptr);
        if (done == -EINTR) {
            continue;
        }
        if (done < 0 || info.si_pid == 0) {
            return;
        }
        child_ended(info.si_pid, info.si_code != CLD_EXITED, info.si_status);
    }
}

// --- The loop -----------------------------------------------------------------------------------

void stop() {
    k.stopping = true;
    if (k.daemon == 0) {
        k.start_at = 0;  // To end the containers; it is stopped when it has come up.
    } else if (k.ready || !k.ever_ready) {
        stop_daemon();
    }
}

void signals_take() {
    signalfd_siginfo info = {};
    while (raw::call(__NR_read, k.signals, &info, sizeof(info)) == sizeof(info)) {
        if ((info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT) && !k.stopping) {
            stop();
        } else if (info.ssi_signo == SIGUSR2 && k.ready && !k.stopping) {
            k.upgrading = k.leave_wanted = true;
        }
    }
}

void prepare(const char** arguments, int count) {
    if (count < arguments_before_daemons) {
        say("it is davit daemon that becomes the keeper");
        raw::quit(2);
    }
    k.socket = -1;
    k.path = arguments[2];
    k.arguments = arguments;
    k.environment = arguments + count + 1;
    // In place: "davit keeper PATH ..." becomes "PATH daemon --keeper-socket ...".
    arguments[0] = k.path;
    arguments[1] = "daemon";
    arguments[2] = "--keeper-socket";
    constexpr int above_standard = 16;
    k.executable =
        static_cast<int>(raw::call(__NR_fcntl, executable_fd, F_DUPFD_CLOEXEC, above_standard));
    raw::call(__NR_close, executable_fd);
    raw::call(__NR_prctl, PR_SET_NAME, "davit-keeper", 0, 0, 0);
    raw::call(__NR_prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    raw::call(__NR_prlimit64, 0, RLIMIT_NOFILE, nullptr, &k.descriptors_before);
    const rlimit64 raised = {k.descriptors_before.rlim_max, k.descriptors_before.rlim_max};
    raw::call(__NR_prlimit64, 0, RLIMIT_NOFILE, &raised, nullptr);
    uint64_t mask = 0;
    // SIGHUP is for daemons that reload, SIGPIPE for a log that nobody reads any more.
    const int caught[] = {SIGTERM, SIGINT, SIGCHLD, SIGUSR2, SIGHUP, SIGPIPE};
    for (const int number : caught) {
        mask |= uint64_t{1} << (number - 1);
    }
    raw::call(__NR_rt_sigprocmask, SIG_BLOCK, &mask, &k.mask_before, sizeof(mask));
    k.signals = static_cast<int>(
        raw::call(__NR_signalfd4, -1, &mask, sizeof(mask), O_CLOEXEC | O_NONBLOCK));
    if (k.signals < 0) {
        say("signalfd: errno", -k.signals);
        raw::quit(1);
    }
}

[[noreturn]] void run() {
    for (bool more_to_say = false;; more_to_say = talk()) {
        const int64_t wait = k.start_at - now_ns(clock_monotonic);
        if (k.daemon == 0 && wait <= 0) {
            daemon_start();
            continue;
        }

        struct {
            int64_t seconds;
            int64_t nanoseconds;
        } timeout = {wait / second_ns, wait % second_ns};

        pollfd polled[2] = {
            {k.signals, POLLIN, 0},
            {k.socket, static_cast<short>(more_to_say ? POLLIN | POLLOUT : POLLIN), 0}};
        constexpr size_t mask_bytes = 8;
        raw::call(__NR_ppoll, polled, 2, k.daemon == 0 ? &timeout : nullptr, nullptr, mask_bytes);
        socket_drain();  // First: who is to be waited for may be in it.
        signals_take();
        children_reap();
    }
}

}  // namespace

}  // namespace davit::keeper

extern "C" void davit_main(long* stack) {
    const auto count = static_cast<int>(stack[0]);
    davit::keeper::prepare(reinterpret_cast<const char**>(stack + 1), count);
    davit::keeper::run();
}
