#include "jobs/event_journal.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "http/json_reader.h"
#include "http/json_writer.h"

namespace davit {

namespace {

constexpr const char* current_name = "/events";
constexpr const char* older_name = "/events.1";

std::string line_of(const Event& event) {
    std::string line;
    JsonWriter json(line);
    json.begin_object().key("type").string(event.type).key("action").string(event.action);
    json.key("id").string(event.actor_id).key("time").number(unix_nanoseconds(event.time));
    json.key("attributes").string_map(event.attributes).end_object();
    line += '\n';
    return line;
}

Result<Event> event_of(std::string_view line) {
    TRY(const JsonDocument document, JsonDocument::parse(line));
    const JsonValue root = document.root();
    Event event;
    TRY(event.type, root.string_or("type", ""));
    TRY(event.action, root.string_or("action", ""));
    TRY(event.actor_id, root.string_or("id", ""));
    TRY(const std::int64_t nanoseconds, root.int64_or("time", 0));
    event.time = wall_from_unix_nanoseconds(nanoseconds);
    TRY(const auto attributes, root.string_map("attributes"));
    event.attributes.assign(attributes.begin(), attributes.end());
    return event;
}

/// Gives: the bytes of the lines that are whole.
Result<std::size_t> lines_read(const std::string& path, std::vector<Event>& events) {
    const Result<std::string> text = file_read(path, SIZE_MAX);
    if (!text && text.error().errno_value() == ENOENT) {
        return std::size_t{0};
    }
    if (!text) {
        return text.error();
    }
    std::size_t whole = 0;
    for (std::size_t end = text->find('\n'); end != std::string::npos;
         end = text->find('\n', whole)) {
        // A line that is whole and no event is nobody's that we know: left out.
        if (Result<Event> event = event_of(std::string_view(*text).substr(whole, end - whole))) {
            events.push_back(*std::move(event));
        }
        whole = end + 1;
    }
    return whole;
}

Result<Fd> current_open(const std::string& directory) {
    return Fd::open(directory + current_name, O_WRONLY | O_APPEND | O_CREAT, 0600);
}

}  // namespace

Result<EventJournal> EventJournal::open(std::string directory, std::vector<Event>& events) {
    TRY([[maybe_unused]] const std::size_t older, lines_read(directory + older_name, events));
    TRY(const std::size_t whole, lines_read(directory + current_name, events));
    TRY(Fd file, current_open(directory));
    if (::ftruncate(file.get(), static_cast<off_t>(whole)) != 0) {
        return Error::from_errno(errno, "ftruncate", directory + current_name);
    }
    return EventJournal(std::move(directory), std::move(file), whole);
}

Result<void> EventJournal::rotate() {
    if (::rename((directory_ + current_name).c_str(), (directory_ + older_name).c_str()) != 0) {
        return Error::from_errno(errno, "rename", directory_ + current_name);
    }
    TRY(file_, current_open(directory_));
    bytes_ = 0;
    return ok;
}

Result<void> EventJournal::append(const Event& event) {
    if (bytes_ >= file_bytes_max) {
        TRY_VOID(rotate());
    }
    const std::string line = line_of(event);
    Result<void> written = write_all(file_.get(), line);
    if (!written) {
        // The beginning of a line would spoil the next one.
        if (::ftruncate(file_.get(), static_cast<off_t>(bytes_)) != 0) {
            return Error::from_errno(errno, "ftruncate", directory_ + current_name);
        }
        return written;
    }
    bytes_ += line.size();
    return ok;
}

}  // namespace davit
