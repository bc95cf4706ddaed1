// davit-reaper: pid 1 of a container with --init, where it is /sbin/docker-init. It starts the
// program, hands it every signal that it gets itself, reaps whatever is left to it, and ends as the
// program ended: with its exit code, or 128 and the number of the signal. It runs without a C
// library, so that it fits any image.
//
// Its arguments: "--", then the program's. TINI_KILL_PROCESS_GROUP in the environment has signals
// go to the program's whole process group.
// Follows: tini(1), which Docker calls docker-init.
#include <linux/wait.h>
#include <stddef.h>

#include <asm/errno.h>
#include <asm/ioctls.h>
#include <asm/signal.h>

#include "libcontainer/init/program.h"
#include "libcontainer/init/syscall.h"

namespace davit::reaper {

namespace {

constexpr size_t mask_bytes = 8;  // The kernel's sigset_t.
constexpr int exit_failure = 1;
constexpr int exit_not_executable = 126;
constexpr int exit_not_found = 127;
constexpr int exit_signal_base = 128;

// --- Words --------------------------------------------------------------------------------------

/// One line for standard error; what does not fit is cut off.
class Line {
  public:
    Line& text(const char* text) {
        while (*text != '\0' && size_ < sizeof(bytes_) - 1) {
            bytes_[size_++] = *text++;
        }
        return *this;
    }

    Line& number(long number) {
        char digits[20];
        size_t count = 0;
        do {
            digits[count++] = static_cast<char>('0' + number % 10);
            number /= 10;
        } while (number > 0);
        while (count > 0 && size_ < sizeof(bytes_) - 1) {
            bytes_[size_++] = digits[--count];
        }
        return *this;
    }

    void say() {
        bytes_[size_++] = '\n';
        raw::call(__NR_write, 2, static_cast<const char*>(bytes_), size_);
    }

  private:
    char bytes_[4400] = {};
    size_t size_ = 0;
};

struct ErrorText {
    long number;
    const char* text;
};

/// What execve(2) and clone(2) fail with, in the C library's words.
constexpr ErrorText error_texts[] = {
    {EPERM, "Operation not permitted"},
    {ENOENT, "No such file or directory"},
    {EIO, "Input/output error"},
    {E2BIG, "Argument list too long"},
    {ENOEXEC, "Exec format error"},
    {EAGAIN, "Resource temporarily unavailable"},
    {ENOMEM, "Cannot allocate memory"},
    {EACCES, "Permission denied"},
    {ENOTDIR, "Not a directory"},
    {EISDIR, "Is a directory"},
    {ETXTBSY, "Text file busy"},
    {ENAMETOOLONG, "File name too long"},
    {ENOSYS, "Function not implemented"},
    {ELOOP, "Too many levels of symbolic links"},
    {ELIBBAD, "Accessing a corrupted shared library"},
};

/// "[FATAL docker-init (7)] exec x failed: No such file or directory"
void say_failed(const char* what, const char* subject, long error) {
    Line line;
    line.text("[FATAL docker-init (").number(raw::call(__NR_getpid)).text(")] ");
    line.text(what).text(subject).text(" failed: ");
    for (const ErrorText& known : error_texts) {
        if (known.number == error) {
            return line.text(known.text).say();
        }
    }
    line.text("errno ").number(error).say();
}

// --- The program --------------------------------------------------------------------------------

/// The value of a variable; null if it is not set.
const char* variable(char** environment, const char* name) {
    for (; *environment != nullptr; ++environment) {
        size_t i = 0;
        while (name[i] != '\0' && (*environment)[i] == name[i]) {
            ++i;
        }
        if (name[i] == '\0' && (*environment)[i] == '=') {
            return *environment + i + 1;
        }
    }
    return nullptr;
}

/// execve(2); what is no program the kernel knows is given to a shell, as execvp(3) does. There is
/// an argument before the program's, which then takes the shell's name.
long execute_at(char* path, char** arguments, char** environment) {
    const long error = raw::call(__NR_execve, path, arguments, environment);
    if (error != -ENOEXEC) {
        return error;
    }
    static char shell[] = "/bin/sh";
    char* const name = arguments[0];
    arguments[-1] = shell;
    arguments[0] = path;
    const long failed = raw::call(__NR_execve, shell, arguments - 1, environment);
    arguments[0] = name;
    return failed;
}

bool has_slash(const char* text) {
    while (*text != '\0' && *text != '/') {
        ++text;
    }
    return *text == '/';
}

/// A folder that does not have the program is passed over; one that has it and may not execute it
/// counts only if no other has it. Follows: execvp(3).
long execute_in_path(char** arguments, char** environment) {
    static char candidate[4096];
    const char* folder = variable(environment, "PATH");
    if (folder == nullptr) {
        folder = "/bin:/usr/bin";
    }
    long result = -ENOENT;
    for (;;) {
        size_t used = 0;
        const char* end = folder;
        for (; *end != '\0' && *end != ':'; ++end) {
            if (used < sizeof(candidate)) {
                candidate[used++] = *end;
            }
        }
        if (used > 0 && used < sizeof(candidate)) {  // An empty folder is the working directory.
            candidate[used++] = '/';
        }
        const char* name = arguments[0];
        while (*name != '\0' && used < sizeof(candidate) - 1) {
            candidate[used++] = *name++;
        }
        if (*name == '\0' && used < sizeof(candidate)) {  // Else it is too long to be there.
            candidate[used] = '\0';
            const long error = execute_at(candidate, arguments, environment);
            if (error == -EACCES) {
                result = error;
            } else if (error != -ENOENT && error != -ENOTDIR) {
                return error;
            }
        }
        if (*end == '\0') {
            return result;
        }
        folder = end + 1;
    }
}

/// A process group of its own, which a terminal's keys reach if standard input is one, then the
/// program.
[[noreturn]] void program_run(uint64_t mask, char** arguments, char** environment) {
    raw::call(__NR_setpgid, 0, 0);
    const auto group = static_cast<int>(raw::call(__NR_getpid));
    // SIGTTOU is still blocked: it would stop whoever takes the terminal from the background.
    raw::call(__NR_ioctl, 0, TIOCSPGRP, &group);  // No terminal, or not ours: nothing to take.
    raw::call(__NR_rt_sigprocmask, SIG_SETMASK, &mask, nullptr, mask_bytes);
    long error = -ENOENT;
    if (has_slash(arguments[0])) {
        error = execute_at(arguments[0], arguments, environment);
    } else if (arguments[0][0] != '\0') {
        error = execute_in_path(arguments, environment);
    }
    say_failed("exec ", arguments[0], -error);
    raw::quit(error == -ENOENT   ? exit_not_found
              : error == -EACCES ? exit_not_executable
                                 : exit_failure);
}

// --- Pid 1 --------------------------------------------------------------------------------------

/// Block all signals but those that tell of a mistake of our own, which must not be waited for.
/// Gives: those to wait for; in `before` what was blocked until now.
uint64_t signals_take(uint64_t& before) {
    uint64_t mask = ~uint64_t{0};
    const int ours[] = {SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGABRT, SIGTRAP, SIGSYS};
    for (const int own : ours) {
        mask &= ~(uint64_t{1} << (own - 1));
    }
    raw::call(__NR_rt_sigprocmask, SIG_SETMASK, &mask, &before, mask_bytes);
    return mask;
}

/// Reap all that have ended. If the program is among them, end as it did.
void reap(long program) {
    for (;;) {
        int status = 0;
        const long pid = raw::call(__NR_wait4, -1, &status, WNOHANG, nullptr);
        if (pid <= 0 && pid != -EINTR) {
            return;
        }
        if (pid == program) {
            const int signal = status & 0x7f;
            raw::quit(signal == 0 ? (status >> 8) & 0xff : exit_signal_base + signal);
        }
    }
}

[[noreturn]] void run(char** arguments, char** environment) {
    uint64_t before = 0;
    const uint64_t awaited = signals_take(before);
    const long program = raw::call(__NR_clone, SIGCHLD, nullptr);
    if (program == 0) {
        program_run(before, arguments, environment);
    }
    if (program < 0) {
        say_failed("fork", "", -program);
        raw::quit(exit_failure);
    }
    const bool whole_group = variable(environment, "TINI_KILL_PROCESS_GROUP") != nullptr;
    for (;;) {
        const long signal = raw::call(__NR_rt_sigtimedwait, &awaited, nullptr, nullptr, mask_bytes);
        if (signal > 0 && signal != SIGCHLD) {
            raw::call(__NR_kill, whole_group ? -program : program, signal);
        }
        reap(program);  // Whatever it was: several SIGCHLD become one.
    }
}

}  // namespace

}  // namespace davit::reaper

extern "C" void davit_main(long* stack) {
    const long count = stack[0];
    char** const arguments = reinterpret_cast<char**>(stack + 1);
    char** const environment = arguments + count + 1;
    const bool is_marked =
        count > 2 && arguments[1][0] == '-' && arguments[1][1] == '-' && arguments[1][2] == '\0';
    if (!is_marked) {
        davit::reaper::Line().text("usage: docker-init -- PROGRAM [ARGUMENT...]").say();
        davit::raw::quit(davit::reaper::exit_failure);
    }
    davit::reaper::run(arguments + 2, environment);
}
