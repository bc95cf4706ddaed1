#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <span>
#include <utility>

#include "drivers/log/json_file.h"
#include "http/json_reader.h"
#include "reactor/base/limits.h"

namespace davit {

namespace {

constexpr std::size_t read_bytes = 256 * 1024;

/// A record's text may grow sixfold by escapes; other writers add attributes. No line is read into
/// memory beyond this.
constexpr std::size_t record_bytes_max = 1024 * 1024;
static_assert(record_bytes_max > 8 * limits::log_line_bytes_max);

Error too_long() {
    return Error(ErrorKind::corrupt, "log record: the line is longer than any record");
}

}  // namespace

Result<JsonFileReader> JsonFileReader::open(const std::string& path) {
    TRY(Fd fd, Fd::open(path, O_RDONLY));
    JsonFileReader reader(std::move(fd));
    if (path.ends_with(".gz")) {
        TRY(LogInflate inflate, LogInflate::open(reader.fd()));
        reader.inflate_.emplace(std::move(inflate));
    }
    return reader;
}

bool JsonFileReader::is(int fd) const {
    struct stat own {};

    struct stat other {};

    return ::fstat(fd_.get(), &own) == 0 && ::fstat(fd, &other) == 0 &&
           own.st_dev == other.st_dev &&
           (own.st_ino == other.st_ino || (inflate_ && inflate_->made_from() == other.st_ino));
}

/// It can only be read forward: to its end, to count, and once more up to the right record.
Result<bool> JsonFileReader::seek_tail_step_inflate(std::uint64_t count) {
    if (!tail_) {
        tail_.emplace();
    }
    buffer_.clear();
    used_ = 0;
    TRY(const std::size_t got, fill());
    if (!tail_->left) {
        tail_->newlines += static_cast<std::uint64_t>(std::ranges::count(buffer_, '\n'));
        if (got == 0) {
            tail_->left = tail_->newlines - std::min(tail_->newlines, count);
            tail_->newlines = std::min(tail_->newlines, count);
            inflate_->rewind();
            offset_ = 0;
        }
        return got == 0 && *tail_->left == 0;
    }
    while (*tail_->left > 0) {
        const std::size_t newline = buffer_.find('\n', used_);
        if (newline == std::string::npos) {
            return got == 0;
        }
        used_ = newline + 1;
        --*tail_->left;
    }
    return true;
}

Result<bool> JsonFileReader::seek_tail_step(std::uint64_t count) {
    if (inflate_) {
        return seek_tail_step_inflate(count);
    }
    if (!tail_) {
        struct stat info {};

        if (::fstat(fd_.get(), &info) != 0) {
            return Error::from_errno(errno, "fstat", "log");
        }
        tail_ = Tail{static_cast<std::uint64_t>(info.st_size), 0};
    }
    offset_ = 0;
    if (tail_->position == 0) {
        return true;
    }
    // Backwards over the newlines that end records; the count+1st from the end stands right before.
    const std::uint64_t size = std::min<std::uint64_t>(tail_->position, read_bytes);
    tail_->position -= size;
    std::string block(size, '\0');
    const ssize_t got =
        ::pread(fd_.get(), block.data(), block.size(), static_cast<off_t>(tail_->position));
    if (got < 0) {
        return Error::from_errno(errno, "pread", "log");
    }
    for (auto i = static_cast<std::size_t>(got); i-- > 0;) {
        if (block[i] == '\n' && tail_->newlines++ == count) {
            offset_ = tail_->position + i + 1;
            return true;
        }
    }
    return tail_->position == 0;
}

/// Read once into buffer_. Gives: how many bytes; 0 at the end.
Result<std::size_t> JsonFileReader::fill() {
    const std::size_t before = buffer_.size();
    const std::size_t want =
        std::min<std::uint64_t>(read_bytes, end_ > offset_ ? end_ - offset_ : 0);
    buffer_.resize(before + want);
    if (inflate_) {
        const auto got =
            want == 0 ? Result<std::size_t>(0) : inflate_->read(std::span(buffer_).subspan(before));
        buffer_.resize(before + (got ? *got : 0));
        offset_ += got ? *got : 0;
        return got;
    }
    const ssize_t got =
        ::pread(fd_.get(), buffer_.data() + before, want, static_cast<off_t>(offset_));
    buffer_.resize(before + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got < 0) {
        return Error::from_errno(errno, "pread", "log");
    }
    offset_ += static_cast<std::uint64_t>(got);
    return static_cast<std::size_t>(got);
}

Result<const LogRecord*> JsonFileReader::next() {
    std::size_t newline = buffer_.find('\n', used_);
    while (newline == std::string::npos) {
        buffer_.erase(0, used_);
        used_ = 0;
        const std::size_t before = buffer_.size();
        if (skipping_ || before > record_bytes_max) {
            skipping_ = true;
            buffer_.clear();
            if (before > 0) {
                return too_long();
            }
        }
        TRY(const std::size_t got, fill());
        if (got == 0) {
            return nullptr;
        }
        newline = buffer_.find('\n', before);
    }
    if (std::exchange(skipping_, false)) {
        used_ = newline + 1;
        return too_long();
    }
    const std::string_view line = std::string_view(buffer_).substr(used_, newline - used_);
    used_ = newline + 1;
    if (!plain_.read(line, record_)) {
        TRY_VOID(record_parse(line));
    }
    return &record_;
}

/// Lines that another writer made, or that have attributes.
Result<void> JsonFileReader::record_parse(std::string_view line) {
    const auto corrupt = [](Error error) {
        return std::move(error).context("log record").with_kind(ErrorKind::corrupt);
    };
    auto document = JsonDocument::parse(line);
    if (!document) {
        return corrupt(std::move(document).error());
    }
    const JsonValue root = document->root();
    TRY(record_.text, root.string_or("log", ""));
    TRY(const std::string stream, root.string_or("stream", "stdout"));
    TRY(const std::string time, root.string_or("time", ""));
    record_.stream =
        stream == "stderr" ? OutputStream::standard_error : OutputStream::standard_output;
    auto when = rfc3339_parse(time);
    if (!when) {
        return corrupt(std::move(when).error());
    }
    record_.time = *when;
    record_.attributes.clear();
    if (attributes_wanted_) {
        if (auto attributes = root.member("attrs").as_string_map()) {
            record_.attributes = *std::move(attributes);
        }
    }
    return ok;
}

}  // namespace davit
