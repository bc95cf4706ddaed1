#include "reactor/base/error.h"

#include <cctype>
#include <cerrno>
#include <cstring>

namespace davit {

std::string_view error_kind_name(ErrorKind kind) {
    switch (kind) {
        case ErrorKind::invalid_argument:
            return "invalid_argument";
        case ErrorKind::not_found:
            return "not_found";
        case ErrorKind::conflict:
            return "conflict";
        case ErrorKind::not_modified:
            return "not_modified";
        case ErrorKind::permission_denied:
            return "permission_denied";
        case ErrorKind::unauthorized:
            return "unauthorized";
        case ErrorKind::unavailable:
            return "unavailable";
        case ErrorKind::resource_exhausted:
            return "resource_exhausted";
        case ErrorKind::timed_out:
            return "timed_out";
        case ErrorKind::cancelled:
            return "cancelled";
        case ErrorKind::unsupported:
            return "unsupported";
        case ErrorKind::corrupt:
            return "corrupt";
        case ErrorKind::internal:
            return "internal";
    }
    return "internal";
}

ErrorKind error_kind_from_errno(int errno_value) {
    switch (errno_value) {
        case ENOENT:
        case ESRCH:
        case ENXIO:
            return ErrorKind::not_found;
        case EEXIST:
        case EBUSY:
        case ENOTEMPTY:
            return ErrorKind::conflict;
        case EPERM:
        case EACCES:
        case EROFS:
            return ErrorKind::permission_denied;
        case EINVAL:
        case ENAMETOOLONG:
        case ENOTDIR:
        case EISDIR:
        case ELOOP:
        case EXDEV:
        case ERANGE:
            return ErrorKind::invalid_argument;
        case ENOSPC:
        case EDQUOT:
        case EMFILE:
        case ENFILE:
        case ENOMEM:
        case EAGAIN:
        case ENOBUFS:
            return ErrorKind::resource_exhausted;
        case ETIMEDOUT:
            return ErrorKind::timed_out;
        case ECANCELED:
            return ErrorKind::cancelled;
        case ENOSYS:
        case EOPNOTSUPP:
            return ErrorKind::unsupported;
        case ECONNREFUSED:
        case ECONNRESET:
        case EPIPE:
        case ENETUNREACH:
        case EHOSTUNREACH:
        case ENOTCONN:
            return ErrorKind::unavailable;
        case EBADMSG:
        case EUCLEAN:
            return ErrorKind::corrupt;
        default:
            return ErrorKind::internal;
    }
}

std::string errno_text(int errno_value) {
    const char* text = strerrordesc_np(errno_value);
    if (text == nullptr) {
        return "errno " + std::to_string(errno_value);
    }
    // In lower case, as Go prints them: Docker's clients look for "no such file or directory".
    // Names such as "RFS specific error" stay.
    std::string lower(text);
    if (lower.size() > 1 && lower[1] >= 'a' && lower[1] <= 'z') {
        lower[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(lower[0])));
    }
    return lower;
}

Error::Error(ErrorKind kind, std::string message, std::source_location where)
    : detail_(std::make_unique<Detail>(Detail{kind, 0, std::move(message), {}, where})) {}

Error Error::from_errno(int errno_value,
                        std::string_view operation,
                        std::string_view subject,
                        std::source_location where) {
    std::string message(operation);
    if (!subject.empty()) {
        message.append(" ").append(subject);
    }
    message.append(": ").append(errno_text(errno_value));
    return Error(std::make_unique<Detail>(
        Detail{error_kind_from_errno(errno_value), errno_value, std::move(message), {}, where}));
}

Error::Error(const Error& other) : detail_(std::make_unique<Detail>(*other.detail_)) {}

Error& Error::operator=(const Error& other) {
    if (this != &other) {
        detail_ = std::make_unique<Detail>(*other.detail_);
    }
    return *this;
}

std::string Error::message() const {
    return detail_->contexts + detail_->message;
}

Error&& Error::context(std::string_view verb, std::string_view subject) && {
    std::string prefix(verb);
    if (!subject.empty()) {
        prefix.append(" ").append(subject);
    }
    prefix.append(": ");
    detail_->contexts.insert(0, prefix);
    return std::move(*this);
}

Error&& Error::with_kind(ErrorKind kind) && {
    detail_->kind = kind;
    return std::move(*this);
}

}  // namespace davit
