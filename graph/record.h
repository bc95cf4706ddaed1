#pragma once
/// RecordWriter and RecordReader: how the graph's records look on disk.
///
/// A record is a version byte, then fields in a fixed order: integers as little-endian base-128,
/// strings and blobs with their length in front. A reader never reads outside its bytes: the first
/// field that does not fit makes every later one empty, and finish() reports it.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "reactor/base/digest.h"
#include "reactor/base/result.h"

namespace davit {

class RecordWriter {
  public:
    explicit RecordWriter(std::uint8_t version) { bytes_.push_back(static_cast<char>(version)); }

    RecordWriter& u64(std::uint64_t value);

    RecordWriter& i64(std::int64_t value);

    RecordWriter& text(std::string_view value);

    /// An empty digest is allowed.
    RecordWriter& digest(const Digest& value) { return text(value.str()); }

    RecordWriter& texts(const std::vector<std::string>& values);

    RecordWriter& digests(const std::vector<Digest>& values);

    std::string take() { return std::move(bytes_); }

  private:
    std::string bytes_;
};

class RecordReader {
  public:
    /// what names the record in errors ("image sha256:..."); both views must outlive the reader.
    RecordReader(std::string_view bytes, std::string_view what, std::uint8_t version);

    std::uint64_t u64();
    std::int64_t i64();

    /// A view into the bytes.
    std::string_view text();
    Digest digest();
    std::vector<std::string> texts();
    std::vector<Digest> digests();

    /// Errors: corrupt, if a field was cut short or malformed, or bytes are left over.
    Result<void> finish() const;

  private:
    std::string_view rest_;
    std::string_view what_;
    bool failed_ = false;
};

}  // namespace davit
