// What the keeper and its daemon say to each other.
#include <asm/errno.h>

#include "libcontainer/init/socket_message.h"
#include "libcontainer/init/syscall.h"
#include "libcontainer/keeper/state.h"

namespace davit::keeper {

namespace {

void fds_close(int* fds, uint32_t& descriptors) {
    for (uint32_t i = 0; i < descriptors_max; ++i) {
        if ((descriptors >> i & 1) != 0) {
            raw::call(__NR_close, fds[i]);
        }
    }
    descriptors = 0;
}

void slot_clear(Slot& slot) {
    fds_close(slot.fds, slot.descriptors);
    slot.used = false;
}

// --- What the daemon says -----------------------------------------------------------------------

/// Take the descriptors that came along, as the message lists them; the others are closed.
void fds_take(const Message& message,
              const raw::Descriptors<descriptors_max>& received,
              size_t count,
              int* fds,
              uint32_t& descriptors) {
    size_t next = 0;
    descriptors = 0;
    for (uint32_t i = 0; i < descriptors_max && fds != nullptr; ++i) {
        if ((message.descriptors >> i & 1) != 0 && next < count) {
            fds[i] = received.fds[next++];
            descriptors |= 1U << i;
        }
    }
    while (next < count) {
        raw::call(__NR_close, received.fds[next++]);
    }
}

void hold(const Message& message, const raw::Descriptors<descriptors_max>& received, size_t count) {
    Slot& slot = k.slots[message.slot];
    slot_clear(slot);
    slot.used = true;
    slot.told = false;
    slot.exit = Exit::none;
    slot.pid = message.pid;
    for (size_t i = 0; i < sizeof(slot.id); ++i) {
        slot.id[i] = message.id[i];
    }
    fds_take(message, received, count, slot.fds, slot.descriptors);
    if (message.slot >= k.slots_end) {
        k.slots_end = message.slot + 1;
    }
}

void message_take(const Message& message,
                  const raw::Descriptors<descriptors_max>& received,
                  size_t count) {
    uint32_t none = 0;
    const bool about_slot = message.kind == Kind::hold || message.kind == Kind::drop_input ||
                            message.kind == Kind::release;
    if (about_slot && message.slot >= slots_max) {
        fds_take(message, received, count, nullptr, none);
        return;
    }
    switch (message.kind) {
        case Kind::hold:
            return hold(message, received, count);
        case Kind::share:
            fds_close(k.shared, k.shared_descriptors);
            return fds_take(message, received, count, k.shared, k.shared_descriptors);
        case Kind::hello:
            k.talk = Talk::welcome;
            break;
        case Kind::drop_input:
            if (Slot& slot = k.slots[message.slot]; (slot.descriptors & descriptor_input) != 0) {
                raw::call(__NR_close, slot.fds[1]);
                slot.descriptors &= ~static_cast<uint32_t>(descriptor_input);
            }
            break;
        case Kind::release:
            slot_clear(k.slots[message.slot]);
            break;
        case Kind::ready:
            k.ready = k.ever_ready = true;
            k.ready_since = now_ns(clock_monotonic);
            if (k.stopping) {
                stop_daemon();
            }
            break;
        case Kind::welcome:
        case Kind::held:
        case Kind::end:
        case Kind::exited:
        case Kind::leave:
            break;
    }
    fds_take(message, received, count, nullptr, none);
}

}  // namespace

void socket_drain() {
    while (k.socket >= 0) {
        Message message = {};
        raw::Descriptors<descriptors_max> received;
        raw::IoVector vector = {&message, sizeof(message)};
        raw::MessageHeader header = {nullptr, 0, &vector, 1, &received, sizeof(received), 0};
        const long got =
            raw::call(__NR_recvmsg, k.socket, &header, raw::do_not_wait | raw::close_on_exec);
        if (got == -EAGAIN || got == -EINTR) {
            return;
        }
        if (got <= 0) {
            raw::call(__NR_close, k.socket);
            k.socket = -1;
            return;
        }
        const size_t count = header.control_size > received.head_bytes ? received.count() : 0;
        if (got == sizeof(message)) {
            message_take(message, received, count);
        } else {
            uint32_t none = 0;
            fds_take(message, received, count, nullptr, none);
        }
    }
}

namespace {

// --- What it is told ----------------------------------------------------------------------------

/// False: there is no room; poll for some.
bool message_send(const Message& message, const int* fds) {
    raw::Descriptors<descriptors_max> control;
    size_t count = 0;
    for (uint32_t i = 0; i < descriptors_max; ++i) {
        if ((message.descriptors >> i & 1) != 0) {
            control.fds[count++] = fds[i];
        }
    }
    control.size = control.head_bytes + count * sizeof(int);
    raw::IoVector vector = {&message, sizeof(message)};
    const size_t padded = (control.size + 7) & ~size_t{7};
    raw::MessageHeader header = {
        nullptr, 0, &vector, 1, count > 0 ? &control : nullptr, count > 0 ? padded : 0, 0};
    const long sent = raw::call(__NR_sendmsg, k.socket, &header, raw::no_signal | raw::do_not_wait);
    // Any other error is that of a daemon that has died: its end is reaped in a moment.
    return sent != -EAGAIN && sent != -EINTR;
}

bool slot_tell(uint32_t index, Kind kind) {
    Slot& slot = k.slots[index];
    Message message;
    message.kind = kind;
    message.slot = index;
    message.pid = slot.pid;
    message.exit = slot.exit;
    message.exit_value = slot.exit_value;
    message.exit_time_ns = slot.exit_time_ns;
    message.descriptors = kind == Kind::held ? slot.descriptors : 0;
    for (size_t i = 0; i < sizeof(slot.id); ++i) {
        message.id[i] = slot.id[i];
    }
    if (!message_send(message, slot.fds)) {
        return false;
    }
    slot.told = slot.exit != Exit::none;
    return true;
}

bool simple_tell(Kind kind) {
    Message message;
    message.kind = kind;
    message.version = version;
    message.descriptors = kind == Kind::welcome ? k.shared_descriptors : 0;
    return message_send(message, k.shared);
}

/// The next thing to be said. False: nothing, or no room (`k.talk` then stays what it was).
bool talk_step() {
    switch (k.talk) {
        case Talk::nothing:
            return false;
        case Talk::welcome:
            if (!simple_tell(Kind::welcome)) {
                return false;
            }
            k.talk = Talk::slots;
            k.talk_next = 0;
            return true;
        case Talk::slots:
            while (k.talk_next < k.slots_end && !k.slots[k.talk_next].used) {
                ++k.talk_next;
            }
            if (k.talk_next < k.slots_end) {
                if (!slot_tell(k.talk_next, Kind::held)) {
                    return false;
                }
                ++k.talk_next;
                return true;
            }
            if (!simple_tell(Kind::end)) {
                return false;
            }
            k.talk = Talk::exits;
            k.talk_next = 0;
            return true;
        case Talk::exits:
            for (; k.talk_next < k.slots_end; ++k.talk_next) {
                const Slot& slot = k.slots[k.talk_next];
                if (slot.used && slot.exit != Exit::none && !slot.told &&
                    !slot_tell(k.talk_next, Kind::exited)) {
                    return false;
                }
            }
            return false;
    }
    return false;
}

}  // namespace

bool talk() {
    while (k.socket >= 0 && talk_step()) {
    }
    if (k.socket >= 0 && k.leave_wanted && simple_tell(Kind::leave)) {
        k.leave_wanted = false;
    }
    const bool exits_told = k.talk == Talk::exits && k.talk_next >= k.slots_end;
    return k.socket >= 0 && ((k.talk != Talk::nothing && !exits_told) || k.leave_wanted);
}

}  // namespace davit::keeper
