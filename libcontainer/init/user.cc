// Who a further process of a running container runs as. The same rules as libcontainer/user.cc,
// which reads an image's files before anything runs; here the files are the container's own by now,
// and opening them is left to a process of the container's.
#include <linux/fcntl.h>

#include <asm/errno.h>
#include <asm/fcntl.h>

#include "libcontainer/init/init.h"

namespace davit::init {

namespace {

constexpr uint64_t id_max = 0x7fffffff;  // What moby accepts.
constexpr uint64_t file_bytes_max = 4 * 1024 * 1024;

struct Text {
    const char* begin = nullptr;
    const char* end = nullptr;

    size_t size() const { return static_cast<size_t>(end - begin); }
};

bool equal(const Text& text, const char* other) {
    size_t i = 0;
    while (i < text.size() && other[i] != '\0' && other[i] == text.begin[i]) {
        ++i;
    }
    return i == text.size() && other[i] == '\0';
}

/// Take what comes before `separator`, or all of it, off the front.
Text take_until(Text& rest, char separator) {
    Text part = {rest.begin, rest.begin};
    while (part.end != rest.end && *part.end != separator) {
        ++part.end;
    }
    rest.begin = part.end == rest.end ? part.end : part.end + 1;
    return part;
}

enum class Number { not_a_number, too_large, valid };

Number number_parse(const Text& text, uint32_t& value) {
    uint64_t number = 0;
    for (const char* at = text.begin; at != text.end; ++at) {
        if (*at < '0' || *at > '9') {
            return Number::not_a_number;
        }
        if (number <= id_max) {
            number = number * 10 + static_cast<uint64_t>(*at - '0');
        }
    }
    if (text.size() == 0) {
        return Number::not_a_number;
    }
    value = static_cast<uint32_t>(number);
    return number > id_max ? Number::too_large : Number::valid;
}

Text text_of(const char* text) {
    return {text, text + length(text)};
}

/// A whole file of the container's; a missing one is empty.
long file_load(State& state, const char* path, Text& text) {
    const long fd = file_open(state, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (fd == -ENOENT || fd == -ENOTDIR) {
        return 0;
    }
    if (fd < 0) {
        return fd;
    }
    struct statx info = {};
    constexpr uint64_t mode_type_mask = 0170000;
    constexpr uint64_t mode_regular = 0100000;
    long done = raw::call(__NR_statx, fd, "", AT_EMPTY_PATH, STATX_TYPE | STATX_SIZE, &info);
    if (done == 0 && (info.stx_mode & mode_type_mask) != mode_regular) {
        done = -EINVAL;
    }
    if (done == 0 && info.stx_size > file_bytes_max) {
        done = -EFBIG;
    }
    if (done < 0) {
        return fail(state, "statx", path, done);
    }
    constexpr long read_write = 3;         // PROT_READ | PROT_WRITE
    constexpr long private_memory = 0x22;  // MAP_PRIVATE | MAP_ANONYMOUS
    done = raw::call(__NR_mmap, nullptr, info.stx_size + 1, read_write, private_memory, -1, 0);
    if (done < 0 && done > -4096) {
        return fail(state, "mmap", path, done);
    }
    char* memory = reinterpret_cast<char*>(done);
    uint64_t used = 0;
    while (used < info.stx_size) {
        done = raw::call(__NR_read, fd, memory + used, info.stx_size - used);
        if (done < 0) {
            return fail(state, "read", path, done);
        }
        if (done == 0) {
            break;  // Shorter than it was a moment ago.
        }
        used += static_cast<uint64_t>(done);
    }
    descriptor_close(fd);
    text = {memory, memory + used};
    return 0;
}

/// The next line that is neither empty nor a comment, in its fields.
template <int count>
bool line_next(Text& rest, Text (&fields)[count]) {
    while (rest.size() != 0) {
        Text line = take_until(rest, '\n');
        if (line.size() == 0 || *line.begin == '#') {
            continue;
        }
        for (Text& field : fields) {
            field = take_until(line, ':');
        }
        return true;
    }
    return false;
}

struct Entry {
    bool found = false;
    Text name;
    uint32_t uid = 0;
    uint32_t gid = 0;
    Text home;
};

Entry user_find(Text passwd, const char* wanted) {
    uint32_t wanted_id = 0;
    const bool numeric = number_parse(text_of(wanted), wanted_id) == Number::valid;
    Text field[7];
    while (line_next(passwd, field)) {
        Entry entry;
        if (number_parse(field[2], entry.uid) != Number::valid ||
            number_parse(field[3], entry.gid) != Number::valid) {
            continue;
        }
        entry.found = true;
        entry.name = field[0];
        entry.home = field[5];
        // As libcontainer/user.cc: a number is an id, whatever the container calls "1000".
        if (numeric ? entry.uid == wanted_id : equal(field[0], wanted)) {
            return entry;
        }
    }
    return {};
}

long detail_fail(State& state, plan::Detail detail, const char* subject) {
    state.failure.detail = detail;
    return fail(
        state, "read", subject, detail == plan::Detail::id_out_of_range ? -EINVAL : -ENOENT);
}

long group_resolve(State& state, Text group, const char* wanted, uint32_t& gid) {
    switch (number_parse(text_of(wanted), gid)) {
        case Number::valid:
            return 0;
        case Number::too_large:
            return detail_fail(state, plan::Detail::id_out_of_range, wanted);
        case Number::not_a_number:
            break;
    }
    Text field[3];
    while (line_next(group, field)) {
        if (equal(field[0], wanted) && number_parse(field[2], gid) == Number::valid) {
            return 0;
        }
    }
    return detail_fail(state, plan::Detail::unknown_group, wanted);
}

long group_add(State& state, uint32_t gid) {
    User& user = state.user;
    for (uint32_t i = 0; i < user.group_count; ++i) {
        if (user.groups[i] == gid) {
            return 0;
        }
    }
    if (user.group_count == groups_max) {
        return fail(state, "setgroups", "too many groups", -E2BIG);
    }
    user.groups[user.group_count++] = gid;
    return 0;
}

bool lists_member(Text members, const Text& name) {
    while (members.size() != 0) {
        const Text member = take_until(members, ',');
        size_t i = 0;
        while (i < member.size() && i < name.size() && member.begin[i] == name.begin[i]) {
            ++i;
        }
        if (i == member.size() && i == name.size()) {
            return true;
        }
    }
    return false;
}

long member_groups_add(State& state, Text group, const Text& name) {
    Text field[4];
    while (line_next(group, field)) {
        uint32_t gid = 0;
        if (lists_member(field[3], name) && number_parse(field[2], gid) == Number::valid) {
            const long added = group_add(state, gid);
            if (added < 0) {
                return added;
            }
        }
    }
    return 0;
}

long user_resolve(State& state, const Text& passwd, const char* wanted, Entry& entry) {
    entry = user_find(passwd, wanted);
    User& user = state.user;
    copy_text(user.home, sizeof(user.home), "/");
    if (!entry.found) {
        switch (number_parse(text_of(wanted), user.uid)) {
            case Number::valid:
                return 0;
            case Number::too_large:
                return detail_fail(state, plan::Detail::id_out_of_range, wanted);
            case Number::not_a_number:
                break;
        }
        return detail_fail(state, plan::Detail::unknown_user, wanted);
    }
    user.uid = entry.uid;
    user.gid = entry.gid;
    if (entry.home.size() != 0 && entry.home.size() < sizeof(user.home)) {
        size_t i = 0;
        for (; i < entry.home.size(); ++i) {
            user.home[i] = entry.home.begin[i];
        }
        user.home[i] = '\0';
    }
    return 0;
}

}  // namespace

long resolve_user(State& state, const plan::Operation& operation) {
    plan::Strings strings(operation);
    const char* wanted = strings.next();
    const char* wanted_group = strings.next();
    Text passwd;
    Text group;
    long done = file_load(state, "/etc/passwd", passwd);
    if (done == 0) {
        done = file_load(state, "/etc/group", group);
    }
    Entry entry;
    if (done == 0) {
        done = user_resolve(state, passwd, *wanted == '\0' ? "0" : wanted, entry);
    }
    if (done == 0 && *wanted_group != '\0') {
        done = group_resolve(state, group, wanted_group, state.user.gid);
    } else if (done == 0 && entry.found) {
        done = member_groups_add(state, group, entry.name);
    }
    if (done == 0) {
        done = group_add(state, state.user.gid);  // As user_resolve() of libcontainer/user.h.
    }
    for (uint32_t i = 2; done == 0 && i < operation.header->string_count; ++i) {
        uint32_t gid = 0;
        done = group_resolve(state, group, strings.next(), gid);
        if (done == 0) {
            done = group_add(state, gid);
        }
    }
    return done;
}

}  // namespace davit::init
