#pragma once
/// Progress of image work: structs from the jobs, JSON lines for clients.
///
/// Follows: API.md 2.10; Docker's pkg/jsonmessage and pkg/streamformatter (texts and field order).
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "reactor/async_event.h"
#include "reactor/base/error.h"

namespace davit {

/// How far something is. total 0: not known.
struct ProgressCount {
    std::uint64_t current = 0;
    std::uint64_t total = 0;
};

struct ProgressMessage {
    /// What it is about: a layer's 12 digits, a tag; "" for the whole.
    std::string id;
    std::string status;
    std::optional<ProgressCount> count;
    /// Text for people, with its line ends, instead of all the others (load, build).
    std::string stream = {};
    /// One step of something with an id: clients show it in that id's own line.
    bool step = false;
    /// For programs: JSON of its own ("aux"); "" for none.
    std::string aux = {};
};

/// Who wants to know. Calls return at once: a slow reader must not hold the work up.
class ProgressSink {
  public:
    ProgressSink() = default;
    ProgressSink(const ProgressSink&) = delete;
    ProgressSink& operator=(const ProgressSink&) = delete;
    virtual ~ProgressSink() = default;

    virtual void update(const ProgressMessage& message) = 0;

    /// The work's next phase begins; for those who measure it, not for the client.
    virtual void phase(std::string_view name) { static_cast<void>(name); }
};

/// For work that nobody watches.
class ProgressIgnored final : public ProgressSink {
  public:
    void update(const ProgressMessage&) override {}
};

/// Keeps messages until their reader takes them. A count that was not read yet is replaced by the
/// next of the same id and status, so that what waits is bounded by the steps there are, however
/// slow the reader.
class ProgressQueue final : public ProgressSink {
  public:
    void update(const ProgressMessage& message) override;

    /// No more messages follow.
    void close();

    /// The next message; nothing after the last. Errors: cancelled. One reader.
    Task<std::optional<ProgressMessage>> next();

    std::size_t size() const { return messages_.size(); }

  private:
    std::deque<ProgressMessage> messages_;
    bool closed_ = false;
    WaitList readers_;
};

/// One message as a JSON object, without a line end.
std::string progress_json(const ProgressMessage& message);

/// The last object of a stream that failed: "errorDetail" and, for old clients, "error".
std::string progress_error_json(std::string_view text, int code = 0);

/// "[=====>      ]  1.2MB/10MB", or only the amount where no total is known.
std::string progress_bar(const ProgressCount& count);

/// 1.234MB: decimal units, four significant digits. Follows: docker/go-units HumanSize.
std::string human_size(std::uint64_t bytes);

/// What separates the objects of a stream.
inline constexpr std::string_view progress_line_end = "\r\n";

}  // namespace davit
