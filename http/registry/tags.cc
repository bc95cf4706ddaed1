#include "http/registry/tags.h"

#include <set>

#include "graph/reference.h"
#include "http/json_reader.h"
#include "http/registry/registry_client.h"

namespace davit {

namespace {

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) {
        text.remove_prefix(1);
    }
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) {
        text.remove_suffix(1);
    }
    return text;
}

/// `; rel=next; title="x"`: whether rel is next.
bool is_next(std::string_view parameters) {
    while (!parameters.empty()) {
        const std::string_view one = trimmed(parameters.substr(0, parameters.find(';')));
        parameters.remove_prefix(std::min(parameters.size(), parameters.find(';')));
        parameters.remove_prefix(parameters.empty() ? 0 : 1);
        if (one == "rel=next" || one == "rel=\"next\"") {
            return true;
        }
    }
    return false;
}

/// Of what a registry gives as its next page only the query is taken: the list stays that of this
/// repository at this registry, wherever the registry points.
Result<std::string> next_suffix(const std::string& target) {
    const std::size_t question = target.find('?');
    const std::string path = target.substr(0, question);
    if (question == std::string::npos || (!path.empty() && !path.ends_with("/tags/list"))) {
        return Error(ErrorKind::corrupt,
                     "the registry's list of tags goes on in another place: " + target);
    }
    return "tags/list" + target.substr(question, target.find('#') - question);
}

/// Gives: how many of the page's tags are new.
Result<std::size_t> page_add(std::string_view body,
                             std::set<std::string, std::less<>>& seen,
                             std::vector<std::string>& tags) {
    const Result<JsonDocument> document = JsonDocument::parse(body);
    if (!document) {
        return Error(ErrorKind::corrupt, "the registry's list of tags is not JSON");
    }
    Result<std::vector<std::string>> page = document->root().member("tags").as_strings();
    if (!page) {
        return Error(ErrorKind::corrupt, "the registry's list of tags is not a list of strings");
    }
    std::size_t added = 0;
    for (std::string& tag : *page) {
        constexpr std::size_t shown_max = 40;
        if (!is_valid_tag(tag)) {
            return Error(ErrorKind::corrupt,
                         "the registry's list of tags has a malformed one: \"" +
                             tag.substr(0, shown_max) + "\"");
        }
        if (seen.insert(tag).second) {
            tags.push_back(std::move(tag));
            ++added;
        }
    }
    if (tags.size() > registry_tags_max) {
        return Error(ErrorKind::resource_exhausted,
                     "the repository has more than " + std::to_string(registry_tags_max) +
                         " tags: pull the ones you need by name");
    }
    return added;
}

}  // namespace

std::optional<std::string> link_next(const Headers& headers) {
    for (const HeaderField& field : headers) {
        std::string_view rest = field.value;
        while (equals_ignoring_case(field.name, "Link") && !rest.empty()) {
            const std::size_t begin = rest.find('<');
            const std::size_t end = rest.find('>', begin);
            if (begin == std::string_view::npos || end == std::string_view::npos) {
                break;
            }
            const std::string_view target = rest.substr(begin + 1, end - begin - 1);
            rest.remove_prefix(end + 1);
            const std::size_t comma = rest.find(",");
            if (is_next(rest.substr(0, comma))) {
                return std::string(target);
            }
            rest.remove_prefix(std::min(rest.size(), comma));
        }
    }
    return std::nullopt;
}

Task<std::vector<std::string>> RegistryRepository::tags_list() {
    std::vector<std::string> tags;
    std::set<std::string, std::less<>> seen;
    std::string suffix = "tags/list?n=" + std::to_string(registry_tags_per_page);
    for (std::size_t page = 0; page < registry_tag_pages_max; ++page) {
        RegistryCall call;
        call.suffix = suffix;
        CO_TRY(RegistryResponse answer, co_await request_patiently(std::move(call)));
        if (answer.response.status() != 200) {
            CO_CHECK(co_await fail(std::move(answer.response)));
        }
        CO_TRY(const std::string body,
               co_await answer.response.read_body_all(limits::manifest_bytes_max));
        CO_TRY(const std::size_t added, page_add(body, seen, tags));
        const std::optional<std::string> next = link_next(answer.response.head.headers);
        if (!next) {
            co_return std::move(tags);
        }
        if (added == 0) {
            co_return Error(ErrorKind::corrupt,
                            "the registry's list of tags does not end: a page brings nothing new "
                            "and names a next one");
        }
        CO_TRY(suffix, next_suffix(*next));
    }
    co_return Error(ErrorKind::resource_exhausted,
                    "the registry's list of tags has more than " +
                        std::to_string(registry_tag_pages_max) + " pages");
}

}  // namespace davit
