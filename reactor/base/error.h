#pragma once
/// Error: what went wrong, in terms a user can act on.
///
/// An Error is a kind (what a caller may decide on), an errno where a system call failed, what was
/// being done to what, and the contexts added on the way up, outermost first. It is one pointer
/// wide, so a Result<T> costs little more than T. Library code returns Errors and never logs them;
/// only the edges (an HTTP handler, a supervisor, main) log.
#include <cstdint>
#include <memory>
#include <source_location>
#include <string>
#include <string_view>

namespace davit {

enum class ErrorKind : std::uint8_t {
    invalid_argument,
    not_found,
    conflict,
    not_modified,
    permission_denied,
    unauthorized,
    unavailable,
    resource_exhausted,
    timed_out,
    cancelled,
    unsupported,
    corrupt,
    internal,
};

/// The kind's spelling, as above.
std::string_view error_kind_name(ErrorKind kind);

/// The kind that best describes an errno (ENOENT: not_found, EEXIST: conflict, ...; else internal).
ErrorKind error_kind_from_errno(int errno_value);

class [[nodiscard]] Error {
  public:
    /// An error with a finished message for the user, e.g. "No such container: web".
    Error(ErrorKind kind,
          std::string message,
          std::source_location where = std::source_location::current());

    /// A failed system call: operation is the call ("openat2"), subject what it acted on (may be
    /// "").
    static Error from_errno(int errno_value,
                            std::string_view operation,
                            std::string_view subject = {},
                            std::source_location where = std::source_location::current());

    Error(Error&&) noexcept = default;
    Error& operator=(Error&&) noexcept = default;
    Error(const Error& other);
    Error& operator=(const Error& other);
    ~Error() = default;

    ErrorKind kind() const { return detail_->kind; }

    /// The errno of the system call that failed; 0 if none did.
    int errno_value() const { return detail_->errno_value; }

    /// "outer context: inner context: message", without a trailing full stop.
    std::string message() const;

    /// The message without its contexts.
    const std::string& bare_message() const { return detail_->message; }

    const std::source_location& where() const { return detail_->where; }

    /// Wrap with what was being attempted: context("start container", id).
    Error&& context(std::string_view verb, std::string_view subject = {}) &&;

    /// The same error under another kind, for a layer that knows better what it means.
    Error&& with_kind(ErrorKind kind) &&;

  private:
    struct Detail {
        ErrorKind kind;
        int errno_value;
        std::string message;
        std::string contexts;  // "outer: inner: ", ready to be put before the message.
        std::source_location where;
    };

    explicit Error(std::unique_ptr<Detail> detail) : detail_(std::move(detail)) {}

    std::unique_ptr<Detail> detail_;
};

/// "no such file or directory": strerrordesc_np(3) in lower case, or "errno N" for unknown numbers.
std::string errno_text(int errno_value);

}  // namespace davit
