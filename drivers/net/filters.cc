#include "drivers/net/filters.h"

#include <algorithm>
#include <cerrno>

namespace davit {

namespace {

constexpr std::string_view program_prefix = "davit_from_";

/// The filter that an owner has on a link.
Result<std::optional<FilterInfo>> filter_find(NetlinkSocket& socket,
                                              int index,
                                              const std::string& owner) {
    TRY(const std::vector<FilterInfo> filters, filters_read(socket, index));
    for (const FilterInfo& filter : filters) {
        const auto name = filter_name_of(filter);
        if (name && name->owner == owner) {
            return std::optional(filter);
        }
    }
    return std::optional<FilterInfo>();
}

/// What is before the next colon; that, and the colon, is taken off.
std::string part_take(std::string_view& text) {
    const std::string_view part = text.substr(0, text.find(':'));
    text.remove_prefix(std::min(text.size(), part.size() + 1));
    return std::string(part);
}

}  // namespace

std::string filter_name_write(const FilterName& name) {
    return name.program + ":" + name.owner + (name.note.empty() ? "" : ":" + name.note);
}

std::optional<FilterName> filter_name_parse(std::string_view text) {
    if (!text.starts_with(program_prefix)) {
        return std::nullopt;
    }
    FilterName name;
    name.program = part_take(text);
    name.owner = part_take(text);
    name.note = std::string(text);
    return name;
}

std::optional<FilterName> filter_name_of(const FilterInfo& filter) {
    return filter.priority == filter_priority ? filter_name_parse(filter.name) : std::nullopt;
}

Result<void> filter_put(NetlinkSocket& socket, int index, int program_fd, const FilterName& name) {
    NetlinkBatch qdisc;
    clsact_add(qdisc, index);
    const Result<void> added = socket.run(qdisc);
    if (!added && added.error().errno_value() != EEXIST) {
        return added.error();
    }
    TRY(const std::optional<FilterInfo> before, filter_find(socket, index, name.owner));
    NetlinkBatch filter;
    filter_add(filter,
               index,
               program_fd,
               filter_name_write(name),
               filter_priority,
               before ? before->handle : 0);
    return socket.run(filter);
}

Result<bool> filter_release(NetlinkSocket& socket, int index, const std::string& owner) {
    TRY(const std::optional<FilterInfo> filter, filter_find(socket, index, owner));
    if (!filter) {
        return false;
    }
    NetlinkBatch batch;
    filter_delete(batch, index, filter_priority, filter->handle);
    TRY_VOID(socket.run(batch));
    TRY(const bool used, clsact_is_used(socket, index));
    if (!used) {
        NetlinkBatch qdisc;
        clsact_delete(qdisc, index);
        TRY_VOID(socket.run(qdisc));
    }
    return true;
}

}  // namespace davit
