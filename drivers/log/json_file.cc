#include "drivers/log/json_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>
#include <vector>

#include "http/json_writer.h"
#include "reactor/base/limits.h"

namespace davit {

namespace {

/// Of records, before they are written and others have their turn.
constexpr std::size_t step_bytes = 256 * 1024;

constexpr std::int64_t nanoseconds_per_second = 1'000'000'000;

bool exists(const std::string& path) {
    return ::access(path.c_str(), F_OK) == 0;
}

std::string_view stream_name(OutputStream stream) {
    return stream == OutputStream::standard_output ? "stdout" : "stderr";
}

}  // namespace

JsonFileWriter JsonFileWriter::make(std::string path,
                                    LogRotation rotation,
                                    const LogAttributes& attributes) {
    JsonFileWriter writer(std::move(path), rotation);
    if (!attributes.empty()) {
        writer.attributes_ = ",\"attrs\":";
        JsonWriter(writer.attributes_).string_map(attributes);
    }
    return writer;
}

Result<void> JsonFileWriter::create() {
    struct stat info {};

    TRY_VOID(make_directories(path_.substr(0, path_.rfind('/')), 0710));
    TRY(Fd fd, Fd::open(path_, O_WRONLY | O_CREAT | O_APPEND, 0640));
    if (::fstat(fd.get(), &info) != 0) {
        return Error::from_errno(errno, "fstat", path_);
    }
    bytes_ = static_cast<std::uint64_t>(info.st_size);
    fd_ = std::make_shared<const Fd>(std::move(fd));
    return ok;
}

/// FILE becomes FILE.1, and so on up to the first number that is free; if none is, the oldest goes.
/// So a rotation that was cut short, which leaves one number free, is completed by the next one.
/// Some tens of microseconds, since what takes time, giving up the oldest one's blocks, is done
/// when its last descriptor is closed.
Result<void> JsonFileWriter::rotate() {
    const unsigned last = std::max(rotation_.files_max, 1U) - 1;
    unsigned free = 1;
    while (free <= last && (exists(name(free)) || exists(name(free) + ".gz"))) {
        ++free;
    }
    rotated_ = true;
    if (free > last) {
        free = last;
        TRY_VOID(retire(name(last) + ".gz"));
        TRY_VOID(retire(name(last)));
    }
    for (unsigned number = free; number > 0; --number) {
        const std::string from = name(number - 1);
        const std::string to = name(number);
        const bool packed = number > 1 && exists(from + ".gz");
        if (packed && ::unlink(from.c_str()) != 0 && errno != ENOENT) {
            return Error::from_errno(errno, "unlink", from);  // Both are there: see log_packer.h.
        }
        const std::string suffix = packed ? ".gz" : "";
        if (::rename((from + suffix).c_str(), (to + suffix).c_str()) != 0 && errno != ENOENT) {
            return Error::from_errno(errno, "rename", from + suffix);
        }
    }
    return create();
}

/// Take a file's name away, and keep the file until the caller has taken it.
Result<void> JsonFileWriter::retire(const std::string& name) {
    if (auto file = Fd::open(name, O_PATH | O_NOFOLLOW)) {
        retired_ = std::make_shared<const Fd>(*std::move(file));
    }
    if (::unlink(name.c_str()) != 0 && errno != ENOENT) {
        return Error::from_errno(errno, "unlink", name);
    }
    return ok;
}

std::string JsonFileWriter::name(unsigned number) const {
    return number == 0 ? path_ : path_ + "." + std::to_string(number);
}

std::optional<LogPacker> JsonFileWriter::packer() const {
    if (!rotation_.compress) {
        return std::nullopt;
    }
    return LogPacker(path_, rotation_.files_max);
}

void JsonFileWriter::add_record(OutputStream stream, std::string_view text) {
    records_ += "{\"log\":";
    JsonWriter(records_).string(text);
    records_.append(",\"stream\":\"").append(stream_name(stream)).append("\"");
    records_.append(attributes_).append(",\"time\":\"");
    add_time();
    records_ += "\"}\n";
    if (sink_) {
        sink_->send(stream == OutputStream::standard_error,
                    text.substr(0, text.size() - (text.ends_with('\n') ? 1 : 0)));
    }
}

/// As rfc3339_nano(), which costs more than all else of a short record.
void JsonFileWriter::add_time() {
    const std::int64_t nanoseconds = last_.time_since_epoch().count();
    if (second_ != nanoseconds / nanoseconds_per_second) {
        second_ = nanoseconds / nanoseconds_per_second;
        second_text_ = rfc3339_nano(WallTime(std::chrono::seconds(second_)));
        second_text_.pop_back();
    }
    records_ += second_text_;
    std::int64_t fraction = nanoseconds % nanoseconds_per_second;
    if (fraction > 0) {
        std::array<char, 10> digits{'.'};
        for (std::size_t i = 9; i > 0; --i) {
            digits[i] = static_cast<char>('0' + fraction % 10);
            fraction /= 10;
        }
        std::size_t size = digits.size();
        while (digits[size - 1] == '0') {
            --size;
        }
        records_.append(digits.data(), size);
    }
    records_ += 'Z';
}

Result<void> JsonFileWriter::append(OutputStream stream, std::string_view bytes) {
    Result<void> first = ok;
    while (!bytes.empty()) {
        if (Result<void> written = append_step(stream, bytes); !written && first) {
            first = std::move(written);
        }
    }
    return first;
}

Result<void> JsonFileWriter::append_step(OutputStream stream, std::string_view& bytes) {
    std::string& held = partial(stream);
    const WallTime now = wall_now();
    while (!bytes.empty() && records_.size() < step_bytes) {
        const std::size_t newline = bytes.find('\n');
        std::size_t take = newline == std::string_view::npos ? bytes.size() : newline + 1;
        const std::size_t room = limits::log_line_bytes_max - held.size();
        const bool complete = newline != std::string_view::npos && take <= room;
        take = std::min(take, room);
        const std::string_view piece = bytes.substr(0, take);
        bytes.remove_prefix(take);
        if (!complete && held.size() + take < limits::log_line_bytes_max) {
            held.append(piece);
            continue;
        }
        last_ = std::max(now, last_ + Nanoseconds(1));
        if (held.empty()) {
            add_record(stream, piece);
        } else {
            held.append(piece);
            add_record(stream, held);
            held.clear();
        }
    }
    return flush();
}

Result<void> JsonFileWriter::end(OutputStream stream) {
    std::string& held = partial(stream);
    if (!held.empty()) {
        last_ = std::max(wall_now(), last_ + Nanoseconds(1));
        add_record(stream, held);
        held.clear();
    }
    return flush();
}

/// Take whole records off left, as many as the file still has room for, and one at least.
std::string_view JsonFileWriter::part_take(std::string_view& left) const {
    std::size_t size = left.size();
    if (rotation_.bytes_max > 0 && bytes_ + size > rotation_.bytes_max) {
        const std::uint64_t room = rotation_.bytes_max > bytes_ ? rotation_.bytes_max - bytes_ : 0;
        const std::size_t end = left.find('\n', room > 0 ? room - 1 : 0);
        size = end == std::string_view::npos ? size : end + 1;
    }
    const std::string_view part = left.substr(0, size);
    left.remove_prefix(size);
    return part;
}

Result<void> JsonFileWriter::part_write(std::string_view part) {
    std::string_view left = part;
    while (!left.empty()) {
        const ssize_t done = ::write(fd_->get(), left.data(), left.size());
        if (done >= 0) {
            torn_ = false;
            left.remove_prefix(static_cast<std::size_t>(done));
            bytes_ += static_cast<std::uint64_t>(done);
        } else if (errno != EINTR) {
            Error error = Error::from_errno(errno, "write", path_);
            const std::size_t written = part.size() - left.size();
            if (written > 0) {
                const auto whole = part.rfind('\n', written - 1);
                torn_record_remove(written - (whole == std::string_view::npos ? 0 : whole + 1));
            }
            return error;
        }
    }
    return ok;
}

Result<void> JsonFileWriter::flush() {
    if (records_.empty()) {
        return ok;
    }
    Result<void> written = fd_ ? Result<void>(ok) : create();
    if (written && torn_) {
        records_.insert(0, 1, '\n');
    }
    Result<void> rotated = ok;
    for (std::string_view left = records_; written && !left.empty();) {
        if (rotation_.bytes_max > 0 && bytes_ >= rotation_.bytes_max && rotated) {
            rotated = rotate();  // If it fails the file grows on: no record is lost for that.
        }
        written = part_write(part_take(left));
    }
    records_.clear();
    return written ? std::move(rotated) : std::move(written);
}

void JsonFileWriter::torn_record_remove(std::size_t torn_bytes) {
    struct stat info {};

    if (torn_bytes == 0) {
        return;
    }
    const int fd = fd_->get();
    const bool removed = ::fstat(fd, &info) == 0 &&
                         info.st_size >= static_cast<off_t>(torn_bytes) &&
                         ::ftruncate(fd, info.st_size - static_cast<off_t>(torn_bytes)) == 0;
    bytes_ -= removed ? torn_bytes : 0;
    torn_ = !removed;
}

LogPlace JsonFileWriter::place() const {
    struct stat info {};

    const bool there = (fd_ ? ::fstat(fd_->get(), &info) : ::stat(path_.c_str(), &info)) == 0;
    return there ? LogPlace{info.st_ino, static_cast<std::uint64_t>(info.st_size)} : LogPlace{};
}

Result<void> JsonFileWriter::cut_off(const LogPlace& place) const {
    std::vector<std::string> newer;
    for (unsigned number = 0; number <= rotation_.files_max; ++number) {
        struct stat info {};

        const std::string name = number == 0 ? path_ : path_ + "." + std::to_string(number);
        if (::stat(name.c_str(), &info) != 0) {
            continue;
        }
        if (info.st_ino != place.inode) {
            newer.push_back(name);
            continue;
        }
        for (const std::string& other : newer) {
            if (::truncate(other.c_str(), 0) != 0) {
                return Error::from_errno(errno, "truncate", other);
            }
        }
        const auto size = static_cast<off_t>(place.bytes);
        if (info.st_size > size && ::truncate(name.c_str(), size) != 0) {
            return Error::from_errno(errno, "truncate", name);
        }
        return ok;
    }
    const bool was_none = place.inode == 0 && newer.size() == 1;
    if (was_none && ::truncate(path_.c_str(), 0) != 0) {
        return Error::from_errno(errno, "truncate", path_);
    }
    return ok;
}

LogPosition JsonFileWriter::position() const {
    struct stat info {};

    LogPosition position;
    position.file = fd_;
    if (!fd_) {
        if (auto there = Fd::open(path_, O_RDONLY)) {
            position.file = std::make_shared<const Fd>(*std::move(there));
        }
    }
    const bool known = position.file && ::fstat(position.file->get(), &info) == 0;
    position.file_bytes = known ? static_cast<std::uint64_t>(info.st_size) : 0;
    position.partial_output = partial_[0];
    position.partial_error = partial_[1];
    return position;
}

}  // namespace davit
