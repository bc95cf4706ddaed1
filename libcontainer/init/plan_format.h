#pragma once
/// The launch plan on the wire: what davit-init reads and the daemon writes.
///
/// A plan is one flat buffer: a Header, then operations in the order in which they are executed.
/// Each operation is an OperationHeader, then its data (NUL-terminated strings, or raw bytes),
/// padded to 8. All numbers are in the machine's byte order: both ends are the same build.
/// Registers are descriptors: the first Header::fd_count of them are passed by launch, others are
/// filled by operations.
///
/// This header is freestanding: davit-init has no C library.
#include <stddef.h>
#include <stdint.h>

namespace davit::plan {

inline constexpr uint32_t magic = 0x4e4c5044;  // "DPLN"
inline constexpr uint16_t version = 1;

/// Descriptors at exec of davit-init; registers 0, 1, ... are first_register_fd and up.
inline constexpr int channel_fd = 3;
inline constexpr int plan_fd = 4;
inline constexpr int first_register_fd = 5;

/// Registers: one per bind mount plus those passed.
inline constexpr uint16_t registers_max = 1024;
/// A plan's size: arguments and environment (ARG_MAX is 2 MiB) plus mounts and filters.
inline constexpr uint32_t plan_bytes_max = 8 * 1024 * 1024;

struct Header {
    uint32_t magic;
    uint16_t version;
    uint16_t fd_count;
    uint32_t total_bytes;
    uint32_t operation_count;
};

/// Operations; the comment names what they use of the header and the strings.
enum class Kind : uint16_t {
    join_cgroup = 1,   // [file] write "0" into a v1 hierarchy's tasks file
    join_namespace,    // reg: namespace fd; a: CLONE_NEW* type; [name]
    unshare,           // a: CLONE_NEW* flags
    oom_score_adjust,  // [text]
    open_source,       // reg: target register; flags: flag_recursive, flag_slot; [path on the host]
    mount_attributes,  // reg: detached mount; a: set; b: clear; c: propagation; flag_recursive
    enter_root,        // reg: rootfs mount
    mount_filesystem,  // a: MOUNT_ATTR_*; flag_no_symlink; [fstype, target, (key, value)...]
    attach,            // reg: detached mount; flag_no_symlink; [target]
    remount,           // a: set; b: clear; c: propagation; flag_recursive; [target]
    make_device,       // a: mode with type; b: major; c: minor; d: uid << 32 | gid; [path]
    make_symlink,      // [target, path]
    make_directory,    // [path]
    mask_path,         // [path]
    readonly_path,     // [path]
    sysctl,            // [path below /proc/sys, value]
    hostname,          // [name]
    domainname,        // [name]
    loopback_up,       //
    session,           // flag_keyring: also join a session keyring of its own; flag_terminal;
                       // [keyring name]
    terminal,          // flag_no_console, flag_no_control; a: width; b: height; c: uid owning it
    resource_limit,    // a: RLIMIT_*; b: soft; c: hard; [name]
    credentials,       // flag_resolved; a: uid; b: gid; c: bounding set; d: groups; data: uint32_t
                       // groups
    capabilities,      // flag_resolved; a: effective; b: permitted; c: inheritable; d: ambient
    working_directory,  // flag_existing; [path]
    file_mode_mask,     // a: umask
    gate,               //
    no_new_privileges,  //
    seccomp,            // a: SECCOMP_FILTER_FLAG_*; d: instructions; data: struct sock_filter
    execute,            // flag_resolved; a: arguments; [argument..., environment...]
    open_root,          // the root is where the joined mount namespace has it
    resolve_user,  // [user, group or "", further group...] against the root's /etc/passwd, group
    /// after session: go on in a child in the joined pid namespace, or in a new one; a child of the
    /// daemon. a: CLONE_NEWPID or 0; b: a register that stays, and 1; 0: none; flag_registers
    fork,
    make_filesystem,  // reg: target register; a: MOUNT_ATTR_*; [fstype, (key, value)...]
    map_ids,     // reg: detached mount; a: register of the user namespace whose ids it gets; [path]
    work_in,     // reg: directory that is the root until enter_root or open_root
    give_stdio,  // a: uid, b: gid: whose standard streams are
    become_root,  // of the user namespace that was joined
    /// the end of a sandbox's plan: say `ready`, and wait for the plan of the container that gets
    /// it
    hand_over,
    apparmor,      // outside of the container, whose programs get it: [profile, as "exec NAME"]
    find_program,  // that execute will find: a: PATH is set; [command, PATH]
    start_wait,    // reg: FIFO; until a byte comes from it
    last_ = start_wait,
};

inline constexpr uint16_t flag_recursive = 1;
inline constexpr uint16_t flag_no_symlink = 2;
inline constexpr uint16_t flag_keyring = 4;
/// terminal: not the container's first one, so /dev/console stays what it is.
inline constexpr uint16_t flag_no_console = 8;
/// working_directory: it must exist.
inline constexpr uint16_t flag_existing = 16;
/// credentials, capabilities, execute: for the user that resolve_user found.
inline constexpr uint16_t flag_resolved = 32;
/// terminal: it is for a session that is still to be made, and controls nothing yet.
inline constexpr uint16_t flag_no_control = 64;
/// session: standard input, which is a terminal, controls it.
inline constexpr uint16_t flag_terminal = 128;
/// fork: the child goes on with what was opened.
inline constexpr uint16_t flag_registers = 256;
/// resource_limit: only see to it that the hard limit is not lower.
inline constexpr uint16_t flag_hard_limit = 512;

struct OperationHeader {
    Kind kind;
    uint16_t flags;
    uint16_t reg;
    uint16_t reserved;  // Zero.
    uint32_t string_count;
    uint32_t total_bytes;  // With this header and the padding: the distance to the next operation.
    uint64_t a;
    uint64_t b;
    uint64_t c;
    uint64_t d;
};

static_assert(sizeof(Header) == 16);
static_assert(sizeof(OperationHeader) == 48);

/// What is known of a kind before its data is looked at.
struct KindTraits {
    const char* name;  // As users see it in an error: the OCI or kernel word for the step.
    uint32_t strings_min;
    uint32_t strings_max;
    uint32_t element_bytes;  // Raw data: bytes per element, with d elements; 0 means strings.
    bool uses_register;
};

inline constexpr uint32_t any_count = 0xffffffff;

inline constexpr KindTraits kind_traits[] = {
    {"", 0, 0, 0, false},
    {"join cgroup", 1, 1, 0, false},
    {"join namespace", 1, 1, 0, true},
    {"unshare namespace", 0, 0, 0, false},
    {"set oom_score_adj", 1, 1, 0, false},
    {"open mount source", 1, 1, 0, true},
    {"set mount attributes", 0, 0, 0, true},
    {"enter rootfs", 0, 0, 0, true},
    {"mount", 2, any_count, 0, false},
    {"mount", 1, 1, 0, true},
    {"remount", 1, 1, 0, false},
    {"create device", 1, 1, 0, false},
    {"create symlink", 2, 2, 0, false},
    {"create directory", 1, 1, 0, false},
    {"mask path", 1, 1, 0, false},
    {"set path readonly", 1, 1, 0, false},
    {"write sysctl", 2, 2, 0, false},
    {"sethostname", 1, 1, 0, false},
    {"setdomainname", 1, 1, 0, false},
    {"bring loopback up", 0, 0, 0, false},
    {"start session", 1, 1, 0, false},
    {"set up terminal", 0, 0, 0, false},
    {"set rlimit", 1, 1, 0, false},
    {"set user", 0, 0, 4, false},
    {"set capabilities", 0, 0, 0, false},
    {"chdir to cwd", 1, 1, 0, false},
    {"set umask", 0, 0, 0, false},
    {"wait for release", 0, 0, 0, false},
    {"set no_new_privs", 0, 0, 0, false},
    {"load seccomp filter", 0, 0, 8, false},
    {"exec", 1, any_count, 0, false},
    {"open rootfs", 0, 0, 0, false},
    {"find user", 2, any_count, 0, false},
    {"fork", 0, 0, 0, false},
    {"mount", 1, any_count, 0, true},
    {"map ids of mount", 1, 1, 0, true},
    {"enter directory", 0, 0, 0, true},
    {"give standard streams", 0, 0, 0, false},
    {"become root of user namespace", 0, 0, 0, false},
    {"wait for a container", 0, 0, 0, false},
    {"set apparmor profile", 1, 1, 0, false},
    {"exec", 2, 2, 0, false},
    {"wait for start", 0, 0, 0, true},
};
static_assert(sizeof(kind_traits) / sizeof(kind_traits[0]) == static_cast<size_t>(Kind::last_) + 1);

inline const KindTraits& traits(Kind kind) {
    return kind_traits[static_cast<uint16_t>(kind)];
}

/// One operation inside a validated plan.
struct Operation {
    const OperationHeader* header;
    const char* data;
    uint32_t data_bytes;
    uint32_t index;
};

/// Walks the strings of one operation; next() must not be called more than string_count times.
class Strings {
  public:
    explicit Strings(const Operation& operation) : at_(operation.data) {}

    const char* next() {
        const char* text = at_;
        while (*at_ != '\0') {
            ++at_;
        }
        ++at_;
        return text;
    }

  private:
    const char* at_;
};

/// Steps through a buffer; stops at the first operation that is not well formed. A plan is executed
/// only after one whole pass ended in done(), so nothing is half executed because of a malformed
/// tail.
class Reader {
  public:
    Reader(const uint8_t* bytes, size_t size) : bytes_(bytes), size_(size) {
        if (size < sizeof(Header) || size > plan_bytes_max ||
            (reinterpret_cast<uintptr_t>(bytes) & 7) != 0) {
            return;
        }
        const Header& head = header();
        good_ = head.magic == magic && head.version == version && head.total_bytes == size &&
                head.fd_count <= registers_max;
        offset_ = sizeof(Header);
    }

    const Header& header() const { return *reinterpret_cast<const Header*>(bytes_); }

    /// The next operation into `operation`; false at the end or at a malformed one.
    bool next(Operation& operation) {
        if (!good_ || index_ == header().operation_count) {
            return false;
        }
        good_ = size_ - offset_ >= sizeof(OperationHeader) && well_formed();
        if (!good_) {
            return false;
        }
        const auto* head = reinterpret_cast<const OperationHeader*>(bytes_ + offset_);
        operation.header = head;
        operation.data = reinterpret_cast<const char*>(bytes_ + offset_ + sizeof(OperationHeader));
        operation.data_bytes = head->total_bytes - static_cast<uint32_t>(sizeof(OperationHeader));
        operation.index = index_++;
        offset_ += head->total_bytes;
        return true;
    }

    /// Everything was read and all of it was well formed.
    bool done() const { return good_ && index_ == header().operation_count && offset_ == size_; }

    uint32_t index() const { return index_; }

  private:
    bool well_formed() const {
        const auto& head = *reinterpret_cast<const OperationHeader*>(bytes_ + offset_);
        const auto kind = static_cast<uint16_t>(head.kind);
        if (kind == 0 || kind > static_cast<uint16_t>(Kind::last_) || head.reserved != 0 ||
            head.total_bytes < sizeof(OperationHeader) || head.total_bytes % 8 != 0 ||
            head.total_bytes > size_ - offset_) {
            return false;
        }
        const KindTraits& known = traits(head.kind);
        if (head.string_count < known.strings_min || head.string_count > known.strings_max ||
            (known.uses_register ? head.reg >= registers_max : head.reg != 0)) {
            return false;
        }
        const size_t data_bytes = head.total_bytes - sizeof(OperationHeader);
        if (known.element_bytes != 0) {
            return head.d <= data_bytes / known.element_bytes;
        }
        if (head.kind == Kind::execute && (head.a == 0 || head.a > head.string_count)) {
            return false;
        }
        if ((head.kind == Kind::mount_filesystem && head.string_count % 2 != 0) ||
            (head.kind == Kind::make_filesystem && head.string_count % 2 != 1) ||
            (head.kind == Kind::map_ids && head.a >= registers_max)) {
            return false;
        }
        return strings_fit(
            bytes_ + offset_ + sizeof(OperationHeader), data_bytes, head.string_count);
    }

    static bool strings_fit(const uint8_t* data, size_t bytes, uint32_t count) {
        uint32_t found = 0;
        for (size_t i = 0; i < bytes && found < count; ++i) {
            found += data[i] == 0 ? 1 : 0;
        }
        return found == count;
    }

    const uint8_t* bytes_;
    size_t size_;
    size_t offset_ = 0;
    uint32_t index_ = 0;
    bool good_ = false;
};

// --- What init says back ------------------------------------------------------------------------

enum class MessageKind : uint16_t {
    ready = 1,  // Set up, waiting at the gate.
    failed,     // A step failed; init exits.
    warning,    // A step was degraded; init goes on.
    console,    // Carries the pseudo terminal's master descriptor.
    process,    // Forked: carries the child's pidfd; `value` is its pid.
};

/// Why a step failed, beyond its errno.
enum class Detail : uint16_t {
    none = 0,
    not_in_path,     // No such command in any folder of PATH.
    no_such_file,    // The path given does not exist.
    not_executable,  // It exists, and may not be executed.
    is_directory,
    no_working_directory,
    unknown_user,
    unknown_group,
    id_out_of_range,
    inside_proc,     // A mount where only the kernel may have files.
    ids_not_mapped,  // A file system without ID-mapped mounts.
};

inline constexpr size_t call_bytes_max = 24;
inline constexpr size_t subject_bytes_max = 456;

struct Message {
    uint32_t magic;
    MessageKind kind;
    Detail detail;
    Kind operation;
    uint16_t reserved;
    uint32_t operation_index;
    int32_t error_number;
    int32_t value;
    char call[call_bytes_max];        // The system call, NUL-terminated.
    char subject[subject_bytes_max];  // What it acted on, NUL-terminated, truncated to fit.
};

static_assert(sizeof(Message) == 504);

/// The byte the daemon sends to let init go on.
inline constexpr char release_byte = 'G';

/// The byte that hands a sandbox over. With it come (SCM_RIGHTS) the container's plan, its standard
/// input, output and error, and its registers.
inline constexpr char hand_over_byte = 'H';
inline constexpr int hand_over_fds_min = 4;
/// SCM_MAX_FD, unix(7).
inline constexpr int hand_over_fds_max = 253;

}  // namespace davit::plan
