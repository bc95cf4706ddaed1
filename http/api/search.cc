// GET /images/search: what a registry says, filtered.
#include <algorithm>
#include <array>

#include "http/api/filters.h"
#include "http/api/handlers.h"
#include "http/api/registry_auth.h"
#include "http/json_reader.h"
#include "http/json_writer.h"
#include "jobs/daemon.h"
#include "jobs/image/image_service.h"

namespace davit::api {

namespace {

constexpr std::int64_t limit_default = 25;
constexpr std::int64_t limit_max = 100;
constexpr std::array<std::string_view, 3> search_keys{"is-automated", "is-official", "stars"};

struct SearchFilter {
    std::optional<bool> automated;
    std::optional<bool> official;
    std::int64_t stars = 0;
};

struct SearchQuery {
    std::string domain;
    std::string term;
    std::int64_t limit = limit_default;
    SearchFilter filter;
};

Result<SearchFilter> filter_parse(std::string_view text) {
    SearchFilter filter;
    TRY(const Filters filters, Filters::parse(text, search_keys));
    TRY(filter.automated, filters.boolean("is-automated"));
    TRY(filter.official, filters.boolean("is-official"));
    for (const std::string& value : filters.all("stars")) {
        Query number;
        number.add("stars", value);
        const Result<std::optional<std::int64_t>> stars = number.integer("stars");
        if (!stars || !*stars) {
            return filter_error("stars", value);
        }
        filter.stars = std::max(filter.stars, **stars);
    }
    return filter;
}

/// "localhost:5000/app" is searched for there, everything else in Docker Hub.
void term_take(SearchQuery& query, std::string_view term) {
    const std::size_t slash = term.find('/');
    const std::string_view first = term.substr(0, slash);
    const bool is_domain = first.find_first_of(".:") != std::string_view::npos;
    if (slash != std::string_view::npos && (is_domain || first == "localhost") &&
        registry_domain(first) != "docker.io") {
        query.domain = std::string(first);
        query.term = std::string(term.substr(slash + 1));
        return;
    }
    if (slash != std::string_view::npos && is_domain) {
        term.remove_prefix(slash + 1);
    }
    query.domain = "index.docker.io";  // The registry itself does not search.
    query.term = std::string(term.starts_with("library/") ? term.substr(8) : term);
}

Result<SearchQuery> query_parse(const ApiContext& context) {
    SearchQuery query;
    const std::string_view term = context.query.get("term");
    if (term.find("://") != std::string_view::npos) {
        return Error(ErrorKind::invalid_argument,
                     "invalid repository name: repository name (" + std::string(term) +
                         ") should not have a scheme");
    }
    term_take(query, term);
    if (query.term.empty()) {
        return Error(ErrorKind::invalid_argument, "a search needs a term");
    }
    TRY(const std::optional<std::int64_t> limit, context.query.integer("limit"));
    if (limit && *limit != 0) {
        query.limit = *limit;
    }
    if (query.limit < 1 || query.limit > limit_max) {
        return Error(ErrorKind::invalid_argument,
                     "limit " + std::to_string(query.limit) + " is outside the range of [1, " +
                         std::to_string(limit_max) + "]");
    }
    TRY(query.filter, filter_parse(context.query.get("filters")));
    return query;
}

/// One result in the API's form, if the filter admits it.
Result<void> result_write(JsonWriter& json, const JsonValue& result, const SearchFilter& filter) {
    TRY(const std::string name, result.string_or("name", ""));
    TRY(const std::string description, result.string_or("description", ""));
    TRY(const std::int64_t stars, result.int64_or("star_count", 0));
    TRY(const bool official, result.bool_or("is_official", false));
    TRY(const bool automated, result.bool_or("is_automated", false));
    if (stars < filter.stars || filter.official.value_or(official) != official ||
        filter.automated.value_or(automated) != automated) {
        return ok;
    }
    json.begin_object().key("star_count").number(stars).key("is_official").boolean(official);
    json.key("name").string(name).key("is_automated").boolean(automated);
    json.key("description").string(description).end_object();
    return ok;
}

Result<std::string> results_write(std::string_view body, const SearchFilter& filter) {
    Result<JsonDocument> document = JsonDocument::parse(body);
    if (!document) {
        return Error(ErrorKind::corrupt, "the registry's search results are not JSON");
    }
    TRY(const JsonValue list, document->root().array("results"));
    TRY(const std::vector<JsonValue> results, list.as_array());
    std::string answer;
    JsonWriter json(answer);
    json.begin_array();
    for (const JsonValue& result : results) {
        TRY_VOID(result_write(json, result, filter));
    }
    json.end_array();
    return answer;
}

}  // namespace

Task<void> image_search(ApiContext& context) {
    CO_TRY(SearchQuery query, query_parse(context));
    RegistryCredentials credentials = registry_credentials(context);
    CO_TRY(RegistryRepository registry,
           RegistryRepository::make(context.daemon.images->registry(),
                                    query.domain,
                                    "",
                                    RegistrySubject{query.domain, query.domain},
                                    std::move(credentials)));
    CO_TRY(const std::string body,
           co_await registry.search(query.term, static_cast<std::size_t>(query.limit)));
    Result<std::string> answer = results_write(body, query.filter);
    if (!answer) {
        co_return std::move(answer).error().with_kind(ErrorKind::corrupt);
    }
    co_return co_await context.send_json(200, *std::move(answer));
}

}  // namespace davit::api
