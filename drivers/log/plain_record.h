#pragma once
/// PlainRecordReader: the lines of a json-file log as davit and dockerd write them, read without a
/// parser of JSON, which would take ten times as long.
#include <cstdint>
#include <string>
#include <string_view>

#include "drivers/log/log_record.h"

namespace davit {

class PlainRecordReader {
  public:
    /// Read a line {"log":"...","stream":"stdout","time":"..."} into record, whose buffers are used
    /// again. Gives: false, and a record that means nothing, for everything else: other members or
    /// another order, a time that is not in UTC, surrogates, what is ill-formed.
    bool read(std::string_view line, LogRecord& record);

  private:
    bool take_time(std::string_view text, WallTime& time);

    /// The last time read, up to its second: most lines have the same as the line before.
    std::string second_text_;
    std::int64_t second_ = 0;  // In nanoseconds since 1970.
};

}  // namespace davit
