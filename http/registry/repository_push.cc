// RegistryRepository: what only pushing, logging in and searching need.
#include <algorithm>

#include "http/registry/registry_client.h"

namespace davit {

namespace {

/// "repository:app:pull,push" without its actions, and the actions.
std::pair<std::string_view, std::string_view> scope_split(std::string_view scope) {
    const std::size_t colon = scope.rfind(':');
    if (colon == std::string_view::npos) {
        return {scope, {}};
    }
    return {scope.substr(0, colon), scope.substr(colon + 1)};
}

bool has_action(std::string_view actions, std::string_view wanted) {
    while (!actions.empty()) {
        const std::string_view one = actions.substr(0, actions.find(','));
        if (one == wanted) {
            return true;
        }
        actions.remove_prefix(std::min(actions.size(), one.size() + 1));
    }
    return false;
}

}  // namespace

/// The challenge's scope, as it is for a pull; for a push with every right that the push will need,
/// so that one token is enough for all of it.
std::string RegistryRepository::scope_wanted(std::string_view challenged_scope) const {
    if (access_ == RegistryAccess::login || access_ == RegistryAccess::search) {
        return std::string(challenged_scope);
    }
    const std::string own = "repository:" + path_;
    if (access_ == RegistryAccess::pull) {
        return challenged_scope.empty() ? own + ":pull" : std::string(challenged_scope);
    }
    std::string actions = "pull,push";
    std::string others;
    bool names_ours = challenged_scope.empty();
    for (std::string_view rest = challenged_scope; !rest.empty();) {
        const std::string_view one = rest.substr(0, rest.find(' '));
        rest.remove_prefix(std::min(rest.size(), one.size() + 1));
        const auto [name, wanted] = scope_split(one);
        if (name != own) {
            others.append(one.empty() ? "" : " ").append(one);
            continue;
        }
        names_ours = true;
        for (const std::string_view action : {"delete", "*"}) {
            if (has_action(wanted, action)) {
                actions.append(",").append(action);
            }
        }
    }
    if (!names_ours) {
        // The registry calls it by another name: it knows what it wants.
        return std::string(challenged_scope);
    }
    for (const std::string& path : mount_from_) {
        const std::string read = "repository:" + path + ":pull";
        if (others.find(" " + read) == std::string::npos) {
            others.append(" ").append(read);
        }
    }
    return own + ":" + actions + others;
}

void RegistryRepository::push_prepare(std::vector<std::string> mount_from) {
    access_ = RegistryAccess::push;
    subject_.pushing = true;
    mount_from_ = std::move(mount_from);
}

Task<RegistryResponse> RegistryRepository::request_own(RegistryCall call) {
    Result<RegistryResponse> answer = co_await request_at(endpoints_.size() - 1, std::move(call));
    if (!answer && answer.error().kind() != ErrorKind::unauthorized &&
        answer.error().kind() != ErrorKind::cancelled) {
        co_return std::move(answer).error().context("registry", authority());
    }
    co_return std::move(answer);
}

Task<bool> RegistryRepository::blob_exists(Digest digest) {
    RegistryCall call;
    call.method = "HEAD";
    call.suffix = "blobs/" + digest.str();
    call.own = access_ == RegistryAccess::push;
    CO_TRY(RegistryResponse answer, co_await request_patiently(std::move(call)));
    const int status = answer.response.status();
    if (status != 200 && status != 404) {
        CO_CHECK(co_await fail(std::move(answer.response)));
    }
    co_return status == 200;
}

Task<RegistryResponse> RegistryRepository::manifest_store(std::string reference,
                                                          std::string media_type,
                                                          std::string body) {
    const Result<Digest> wanted = Digest::parse(reference);
    Hasher hasher(wanted ? wanted->algorithm() : "sha256");
    hasher.update(body);
    const Digest digest = hasher.finish();
    RegistryCall call;
    call.method = "PUT";
    call.suffix = "manifests/" + reference;
    call.headers.set("Content-Type", std::move(media_type));
    call.body = std::move(body);
    call.own = true;
    CO_TRY(RegistryResponse answer, co_await request_patiently(std::move(call)));
    if (answer.response.status() != 201 && answer.response.status() != 200 &&
        answer.response.status() != 202) {
        CO_CHECK(co_await fail(std::move(answer.response)));
    }
    const std::string told(answer.response.head.headers.get("Docker-Content-Digest"));
    if (!told.empty() && told != digest.str()) {
        co_return Error(ErrorKind::corrupt,
                        "the registry stored the manifest as " + told + ", not as " + digest.str());
    }
    co_return std::move(answer);
}

Task<Digest> RegistryRepository::manifest_put(std::string reference,
                                              std::string media_type,
                                              std::string body) {
    CO_TRY(ManifestContents contents, manifest_contents(body, media_type));
    Descriptor referrer;
    referrer.media_type = media_type;
    const Result<Digest> named = Digest::parse(reference);
    referrer.digest = named ? *named : sha256_of(body);
    referrer.size = body.size();
    bool listed = false;
    {
        CO_TRY(
            const RegistryResponse answer,
            co_await manifest_store(std::move(reference), std::move(media_type), std::move(body)));
        listed = answer.response.head.headers.contains("OCI-Subject");
    }
    Digest digest = referrer.digest;
    if (contents.subject && !listed) {
        referrer.artifact_type = std::move(contents.artifact_type);
        referrer.annotations = std::move(contents.annotations);
        CO_CHECK(co_await referrer_note(std::move(referrer), contents.subject->digest));
    }
    co_return std::move(digest);
}

Url RegistryRepository::own_url(const std::string& suffix) const {
    const EndpointState& state = endpoints_.back();
    Url url = state.endpoint.base;
    url.target = target_of(state, suffix);
    if (url.scheme == "https" && client_->host(state.endpoint).plain) {
        url.port = url.port == 443 ? 80 : url.port;
        url.scheme = "http";
    }
    return url;
}

Task<ClientResponse> RegistryRepository::send_at(Url url, ClientRequest request) {
    const std::size_t own = endpoints_.size() - 1;
    HttpClient& http = client_->host(endpoints_[own].endpoint).http;
    const bool at_home = url.same_origin(own_url(""));
    if (!at_home && url.scheme != "https" && !endpoints_[own].endpoint.insecure) {
        co_return Error(ErrorKind::permission_denied,
                        "the registry wants an upload to go to " + url.text());
    }
    for (int logins = 0;; ++logins) {
        std::string authorization_value;
        ClientRequest sent = request;
        if (at_home) {
            CO_TRY(authorization_value, co_await authorization(own));
        }
        if (!authorization_value.empty()) {
            sent.headers.set("Authorization", authorization_value);
        }
        Url target = url;
        CO_TRY(ClientResponse response, co_await http.send(std::move(target), std::move(sent)));
        if (response.status() != 401 || !at_home || logins == 1 || request.producer) {
            co_return std::move(response);
        }
        CO_TRY(const bool again, co_await challenge_take(own, response, authorization_value));
        if (!again) {
            co_return std::move(response);
        }
    }
}

Task<std::string> RegistryRepository::search(std::string term, std::size_t count) {
    access_ = RegistryAccess::search;
    subject_.pushing = true;
    Query query;
    query.add("q", std::move(term));
    query.add("n", std::to_string(count));
    RegistryCall call;
    call.suffix = query.text();
    call.own = true;
    CO_TRY(RegistryResponse answer, co_await request_patiently(std::move(call)));
    if (answer.response.status() != 200) {
        CO_CHECK(co_await fail(std::move(answer.response)));
    }
    co_return co_await answer.response.read_body_all(limits::manifest_bytes_max);
}

Task<std::string> RegistryRepository::login() {
    access_ = RegistryAccess::login;
    subject_.pushing = true;
    RegistryCall call;
    call.own = true;
    Result<RegistryResponse> answer = co_await request_patiently(std::move(call));
    if (!answer) {
        if (answer.error().kind() == ErrorKind::unauthorized) {
            co_return std::move(answer).error().context("Get \"" + own_url("").text() + "\"");
        }
        co_return std::move(answer).error();
    }
    const int status = answer->response.status();
    if (status != 200) {
        co_return Error(
            status == 401 || status == 403 ? ErrorKind::unauthorized : ErrorKind::unavailable,
            "login attempt to " + own_url("").text() +
                " failed with status: " + std::to_string(status) + " " + status_reason(status));
    }
    const EndpointState& state = endpoints_.back();
    co_return state.auth == AuthKind::bearer ? client_->tokens().refresh_token(state.token_key)
                                             : std::string();
}

}  // namespace davit
