#include "reactor/base/priority.h"

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include "reactor/base/limits.h"

namespace davit {

void thread_goes_first() {
    const auto own = static_cast<id_t>(gettid());
    if (getpriority(PRIO_PROCESS, own) != 0) {
        return;
    }
    // A child that inherited the priority would take the processor from the daemon's other
    // threads and from all that is not davit's: sched(7), "The reset-on-fork flag".
    const sched_param none{};
    if (sched_setscheduler(0, SCHED_OTHER | SCHED_RESET_ON_FORK, &none) == 0) {
        static_cast<void>(setpriority(PRIO_PROCESS, own, limits::loop_thread_nice));
    }
}

void thread_goes_last() {
    // Being nicer needs no privilege; refused all the same, the work is done as before.
    const auto own = static_cast<id_t>(gettid());
    static_cast<void>(
        setpriority(PRIO_PROCESS, own, getpriority(PRIO_PROCESS, own) + limits::bulk_thread_nice));
}

}  // namespace davit
