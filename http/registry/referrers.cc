#include "http/registry/referrers.h"

#include <set>

#include "http/json_reader.h"
#include "http/json_writer.h"
#include "http/registry/registry_client.h"
#include "http/registry/tags.h"

namespace davit {

namespace {

constexpr std::string_view index_type = "application/vnd.oci.image.index.v1+json";

Headers index_headers() {
    Headers headers;
    headers.set("Accept", std::string(index_type));
    return headers;
}

Result<ImageIndex> list_parse(std::string_view body) {
    Result<Manifest> parsed = manifest_parse(body, index_type);
    if (!parsed) {
        return std::move(parsed)
            .error()
            .context("the registry's list of referrers")
            .with_kind(ErrorKind::corrupt);
    }
    return std::get<ImageIndex>(*std::move(parsed));
}

/// Gives: how many of the page are new, wanted or not.
Result<std::size_t> page_add(std::string_view body,
                             std::string_view artifact_type,
                             std::set<Digest>& seen,
                             std::vector<Descriptor>& found) {
    TRY(ImageIndex page, list_parse(body));
    std::size_t added = 0;
    for (Descriptor& referrer : page.manifests) {
        if (!seen.insert(referrer.digest).second) {
            continue;
        }
        ++added;
        // Whether the registry has filtered or not.
        if (artifact_type.empty() || referrer.artifact_type == artifact_type) {
            found.push_back(std::move(referrer));
        }
    }
    if (seen.size() > registry_referrers_max) {
        return Error(ErrorKind::resource_exhausted,
                     "the registry lists more than " + std::to_string(registry_referrers_max) +
                         " referrers");
    }
    return added;
}

/// As of tags: the list stays that of this manifest in this repository, wherever the registry
/// points.
Result<std::string> next_suffix(const std::string& target, const Digest& subject) {
    const std::size_t question = target.find('?');
    const std::string path = target.substr(0, question);
    if (question == std::string::npos || !(path.empty() || path.ends_with("/" + subject.str()))) {
        return Error(ErrorKind::corrupt,
                     "the registry's list of referrers goes on in another place: " + target);
    }
    return "referrers/" + subject.str() + target.substr(question, target.find('#') - question);
}

void descriptor_write(JsonWriter& json, const Descriptor& referrer) {
    json.begin_object().key("mediaType").string(referrer.media_type);
    json.key("digest").string(referrer.digest.str()).key("size").number(referrer.size);
    if (!referrer.annotations.empty()) {
        json.key("annotations").string_map(referrer.annotations);
    }
    if (!referrer.artifact_type.empty()) {
        json.key("artifactType").string(referrer.artifact_type);
    }
    json.end_object();
}

}  // namespace

std::string referrers_tag(const Digest& subject) {
    // The specification cuts the algorithm to 32 and the hex digits to 64 characters.
    return std::string(subject.algorithm()) + "-" + std::string(subject.hex().substr(0, 64));
}

Result<std::string> referrers_add(std::string_view list, const Descriptor& referrer) {
    std::string result;
    JsonWriter json(result);
    json.begin_object();
    if (list.empty()) {
        json.key("schemaVersion").number(2).key("mediaType").string(index_type);
        json.key("manifests").begin_array();
        descriptor_write(json, referrer);
        json.end_array().end_object();
        return result;
    }
    TRY(const ImageIndex known, list_parse(list));
    for (const Descriptor& one : known.manifests) {
        if (one.digest == referrer.digest) {
            return std::string(list);
        }
    }
    TRY(const JsonDocument document, JsonDocument::parse(list));
    TRY(const auto members, document.root().as_object());
    for (const auto& [name, value] : members) {
        json.key(name);
        if (name != "manifests") {
            json.raw(value.to_json());
            continue;
        }
        json.begin_array();
        TRY(const std::vector<JsonValue> entries, value.as_array());
        for (const JsonValue& entry : entries) {
            json.raw(entry.to_json());
        }
        descriptor_write(json, referrer);
        json.end_array();
    }
    json.end_object();
    return result;
}

/// The list that clients keep; "" if there is none.
Task<std::string> RegistryRepository::referrers_kept(std::string tag) {
    RegistryCall call;
    call.suffix = "manifests/" + tag;
    call.headers = index_headers();
    call.own = access_ == RegistryAccess::push;
    CO_TRY(RegistryResponse answer, co_await request_patiently(std::move(call)));
    if (answer.response.status() == 404) {
        co_return std::string();
    }
    if (answer.response.status() != 200) {
        CO_CHECK(co_await fail(std::move(answer.response)));
    }
    co_return co_await answer.response.read_body_all(limits::manifest_bytes_max);
}

Task<std::vector<Descriptor>> RegistryRepository::referrers(Digest subject,
                                                            std::string artifact_type) {
    std::vector<Descriptor> found;
    std::set<Digest> seen;
    std::string suffix = "referrers/" + subject.str();
    if (!artifact_type.empty()) {
        suffix += "?artifactType=" + percent_encode(artifact_type);
    }
    for (std::size_t page = 0; page < registry_referrer_pages_max; ++page) {
        RegistryCall call;
        call.suffix = suffix;
        call.headers = index_headers();
        CO_TRY(RegistryResponse answer, co_await request_patiently(std::move(call)));
        if (answer.response.status() == 404 && page == 0) {
            CO_TRY(const std::string kept, co_await referrers_kept(referrers_tag(subject)));
            if (!kept.empty()) {
                CO_TRY([[maybe_unused]] const std::size_t count,
                       page_add(kept, artifact_type, seen, found));
            }
            co_return std::move(found);
        }
        if (answer.response.status() != 200) {
            CO_CHECK(co_await fail(std::move(answer.response)));
        }
        const std::optional<std::string> next = link_next(answer.response.head.headers);
        CO_TRY(const std::string body,
               co_await answer.response.read_body_all(limits::manifest_bytes_max));
        CO_TRY(const std::size_t added, page_add(body, artifact_type, seen, found));
        if (!next) {
            co_return std::move(found);
        }
        if (added == 0) {
            co_return Error(ErrorKind::corrupt,
                            "the registry's list of referrers does not end: a page brings nothing "
                            "new and names a next one");
        }
        CO_TRY(suffix, next_suffix(*next, subject));
    }
    co_return Error(ErrorKind::resource_exhausted,
                    "the registry's list of referrers has more than " +
                        std::to_string(registry_referrer_pages_max) + " pages");
}

Task<void> RegistryRepository::referrer_note(Descriptor referrer, Digest subject) {
    CO_TRY(const Semaphore::Permit turn, co_await client_->referrers_turn().lock());
    const std::string tag = referrers_tag(subject);
    CO_TRY(const std::string kept, co_await referrers_kept(tag));
    CO_TRY(std::string list, referrers_add(kept, referrer));
    if (list == kept) {
        co_return ok;
    }
    std::string type(index_type);
    CO_TRY([[maybe_unused]] const RegistryResponse answer,
           co_await manifest_store(tag, std::move(type), std::move(list)));
    co_return ok;
}

}  // namespace davit
