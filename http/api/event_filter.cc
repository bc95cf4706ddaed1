#include "http/api/event_filter.h"

#include <algorithm>
#include <array>

#include "graph/reference.h"

namespace davit {

namespace {

/// Those that name an actor of their own type. Some types never occur here: then nothing matches.
constexpr std::array<std::string_view, 9> actor_types{
    "container", "network", "volume", "daemon", "plugin", "service", "node", "config", "secret"};

constexpr std::array<std::string_view, 5> other_keys{"type", "event", "image", "label", "scope"};

constexpr auto event_filter_keys = [] {
    std::array<std::string_view, actor_types.size() + other_keys.size()> keys;
    std::ranges::copy(other_keys, std::ranges::copy(actor_types, keys.begin()).out);
    return keys;
}();

/// Actions that say more after a colon; their bare names find them, too.
constexpr std::array<std::string_view, 3> actions_with_detail{
    "health_status", "exec_create", "exec_start"};

/// "alpine:3", "docker.io/library/alpine@sha256:...": "alpine".
std::string bare_name(const std::string& name) {
    const Result<Reference> reference = Reference::parse(name);
    return reference ? reference->familiar_name() : name;
}

}  // namespace

Result<EventFilter> EventFilter::parse(std::string_view text) {
    TRY(Filters filters, Filters::parse(text, event_filter_keys));
    return EventFilter(std::move(filters));
}

bool EventFilter::admits_action(const std::string& action) const {
    if (filters_.admits("event", action)) {
        return true;
    }
    const std::string_view bare = std::string_view(action).substr(0, action.find(':'));
    return bare.size() < action.size() &&
           std::ranges::find(actions_with_detail, bare) != actions_with_detail.end() &&
           filters_.admits("event", bare);
}

bool EventFilter::admits_actor(std::string_view type, const Event& event) const {
    if (!filters_.has(type)) {
        return true;
    }
    const std::string_view name = event.attribute("name");
    return event.type == type &&
           std::ranges::any_of(filters_.all(type), [&](const std::string& wanted) {
               return event.actor_id.starts_with(wanted) || name.starts_with(wanted);
           });
}

/// Images by id and name, containers by the image they were made from; a name also without its tag.
bool EventFilter::admits_image(const Event& event) const {
    if (!filters_.has("image")) {
        return true;
    }
    const bool is_image = event.type == "image";
    if (!is_image && event.type != "container") {
        return false;
    }
    const std::string name(event.attribute(is_image ? "name" : "image"));
    return filters_.admits("image", name) || filters_.admits("image", bare_name(name)) ||
           (is_image && (filters_.admits("image", event.actor_id) ||
                         filters_.admits("image", bare_name(event.actor_id))));
}

bool EventFilter::admits_labels(const Event& event) const {
    return std::ranges::all_of(filters_.all("label"), [&](const std::string& wanted) {
        const std::size_t equals = wanted.find('=');
        const std::string_view key = std::string_view(wanted).substr(0, equals);
        const auto found = std::ranges::find_if(
            event.attributes, [&](const auto& pair) { return pair.first == key; });
        return found != event.attributes.end() &&
               (equals == std::string::npos ||
                std::string_view(wanted).substr(equals + 1) == found->second);
    });
}

bool EventFilter::admits(const Event& event) const {
    return filters_.admits("type", event.type) && filters_.admits("scope", "local") &&
           admits_action(event.action) &&
           std::ranges::all_of(actor_types,
                               [&](std::string_view type) { return admits_actor(type, event); }) &&
           admits_image(event) && admits_labels(event);
}

}  // namespace davit
