#include "graph/record.h"

#include <algorithm>

namespace davit {

RecordWriter& RecordWriter::u64(std::uint64_t value) {
    while (value >= 0x80) {
        bytes_.push_back(static_cast<char>((value & 0x7F) | 0x80));
        value >>= 7;
    }
    bytes_.push_back(static_cast<char>(value));
    return *this;
}

RecordWriter& RecordWriter::i64(std::int64_t value) {
    return u64(static_cast<std::uint64_t>(value));
}

RecordWriter& RecordWriter::text(std::string_view value) {
    u64(value.size());
    bytes_.append(value);
    return *this;
}

RecordWriter& RecordWriter::texts(const std::vector<std::string>& values) {
    u64(values.size());
    for (const std::string& value : values) {
        text(value);
    }
    return *this;
}

RecordWriter& RecordWriter::digests(const std::vector<Digest>& values) {
    u64(values.size());
    for (const Digest& value : values) {
        digest(value);
    }
    return *this;
}

RecordReader::RecordReader(std::string_view bytes, std::string_view what, std::uint8_t version)
    : rest_(bytes), what_(what) {
    failed_ = rest_.empty() || static_cast<std::uint8_t>(rest_.front()) != version;
    rest_.remove_prefix(rest_.empty() ? 0 : 1);
}

std::uint64_t RecordReader::u64() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; !failed_ && shift < 64 && !rest_.empty(); shift += 7) {
        const auto byte = static_cast<std::uint8_t>(rest_.front());
        rest_.remove_prefix(1);
        value |= std::uint64_t{byte & 0x7FU} << shift;
        if ((byte & 0x80) == 0) {
            return value;
        }
    }
    failed_ = true;
    return 0;
}

std::int64_t RecordReader::i64() {
    return static_cast<std::int64_t>(u64());
}

std::string_view RecordReader::text() {
    const std::uint64_t size = u64();
    if (failed_ || size > rest_.size()) {
        failed_ = true;
        return {};
    }
    const std::string_view value = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return value;
}

Digest RecordReader::digest() {
    const std::string_view value = text();
    if (failed_ || value.empty()) {
        return {};
    }
    Result<Digest> parsed = Digest::parse(value);
    if (!parsed) {
        failed_ = true;
        return {};
    }
    return *std::move(parsed);
}

std::vector<std::string> RecordReader::texts() {
    std::vector<std::string> values;
    // Each takes a byte at least, so a damaged count cannot ask for more than the record's size.
    const std::uint64_t count = std::min<std::uint64_t>(u64(), rest_.size() + 1);
    for (std::uint64_t i = 0; i < count && !failed_; ++i) {
        values.emplace_back(text());
    }
    return values;
}

std::vector<Digest> RecordReader::digests() {
    std::vector<Digest> values;
    const std::uint64_t count = std::min<std::uint64_t>(u64(), rest_.size() + 1);
    for (std::uint64_t i = 0; i < count && !failed_; ++i) {
        values.push_back(digest());
    }
    return values;
}

Result<void> RecordReader::finish() const {
    if (failed_ || !rest_.empty()) {
        return Error(ErrorKind::corrupt, "record of " + std::string(what_) + " is damaged");
    }
    return ok;
}

}  // namespace davit
