#include "drivers/log/log_files.h"

#include <cerrno>
#include <utility>

namespace davit {

Result<LogFiles> LogFiles::open(std::string path) {
    LogFiles log(std::move(path));
    TRY_VOID(log.newer_open());
    if (log.files_.empty()) {
        return Error::from_errno(ENOENT, "open", log.path_);
    }
    return log;
}

/// Open what is newer than the newest file that is open; all there are if none is.
Result<void> LogFiles::newer_open() {
    const int known = files_.empty() ? -1 : files_.back().fd();
    std::deque<JsonFileReader> newer;
    bool gap = false;  // One number is free after a rotation that was cut short.
    for (unsigned number = 0;; ++number) {
        const std::string name = number == 0 ? path_ : path_ + "." + std::to_string(number);
        auto file = JsonFileReader::open(name);
        if (!file && number > 0 && file.error().errno_value() == ENOENT) {
            file = JsonFileReader::open(name + ".gz");
            if (!file && file.error().kind() == ErrorKind::corrupt) {
                continue;  // Nobody's: it must not hide the others.
            }
        }
        if (!file && file.error().errno_value() != ENOENT) {
            return std::move(file).error();
        }
        if (!file && !std::exchange(gap, true)) {
            continue;
        }
        if (!file || (known >= 0 && file->is(known))) {
            break;
        }
        if (attributes_wanted_) {
            file->attributes_wanted();
        }
        newer.push_front(*std::move(file));
    }
    for (JsonFileReader& file : newer) {
        files_.push_back(std::move(file));
    }
    return ok;
}

Result<bool> LogFiles::seek_tail_step(std::uint64_t count) {
    if (!tail_file_) {
        tail_file_ = files_.size() - 1;
        tail_left_ = count;
    }
    JsonFileReader& file = files_[*tail_file_];
    TRY(const bool reached, file.seek_tail_step(tail_left_));
    if (!reached) {
        return false;
    }
    if (file.tail_records() >= tail_left_ || *tail_file_ == 0) {
        files_.erase(files_.begin(), files_.begin() + static_cast<std::ptrdiff_t>(*tail_file_));
        return true;
    }
    tail_left_ -= file.tail_records();
    --*tail_file_;
    return false;
}

/// Gives: whether there is one to go on with.
Result<bool> LogFiles::next_file() {
    if (files_.size() == 1 && !ended_) {
        TRY_VOID(newer_open());
    }
    if (files_.size() == 1) {
        return false;
    }
    bytes_passed_ += files_.front().bytes_read();
    files_.pop_front();
    return true;
}

Result<const LogRecord*> LogFiles::next() {
    for (;;) {
        const Result<const LogRecord*> record = files_.front().next();
        if (!record || *record != nullptr) {
            return record;
        }
        TRY(const bool more, next_file());
        if (!more) {
            return nullptr;
        }
    }
}

void LogFiles::end_at(const LogPosition& position) {
    ended_ = true;
    const auto is_last = [&position](const JsonFileReader& file) {
        return position.file && file.is(position.file->get());
    };
    while (files_.size() > 1 && !is_last(files_.back())) {
        files_.pop_back();
    }
    files_.back().end_at(is_last(files_.back()) ? position.file_bytes : 0);
}

void LogFiles::attributes_wanted() {
    attributes_wanted_ = true;
    for (JsonFileReader& file : files_) {
        file.attributes_wanted();
    }
}

}  // namespace davit
