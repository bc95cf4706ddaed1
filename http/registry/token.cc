#include "http/registry/token.h"

#include <algorithm>

#include "http/json_reader.h"
#include "http/registry/base64.h"
#include "http/registry/registry_error.h"
#include "reactor/base/digest.h"
#include "reactor/base/limits.h"

namespace davit {

namespace {

constexpr std::chrono::seconds expiry_default{60};
/// A token is not used in its last seconds: it has to arrive, too.
constexpr std::chrono::seconds expiry_margin{5};

void scopes_add(Query& query, std::string_view scopes) {
    while (!scopes.empty()) {
        const std::string_view one = scopes.substr(0, scopes.find(' '));
        scopes.remove_prefix(std::min(scopes.size(), one.size() + 1));
        if (!one.empty()) {
            query.add("scope", std::string(one));
        }
    }
}

/// A POST, for identity tokens and for token servers that know nothing else.
/// Follows: "OAuth2 Token Authentication".
void post_fill(ClientRequest& request, const TokenKey& key) {
    const RegistryCredentials& who = key.credentials;
    Query query;
    query.add("service", key.service);
    if (!key.scope.empty()) {
        query.add("scope", key.scope);
    }
    query.add("client_id", "davit");
    if (!who.identity_token.empty()) {
        query.add("grant_type", "refresh_token");
        query.add("refresh_token", who.identity_token);
    } else {
        query.add("grant_type", "password");
        query.add("username", who.username);
        query.add("password", who.password);
        if (key.offline) {
            query.add("access_type", "offline");
        }
    }
    request.method = "POST";
    request.headers.set("Content-Type", "application/x-www-form-urlencoded");
    request.body = query.text();
}

/// A GET, with Basic or nothing. Follows: "Token Authentication Specification".
void get_fill(ClientRequest& request, Url& realm, const TokenKey& key) {
    const RegistryCredentials& who = key.credentials;
    Query query;
    query.add("service", key.service);
    scopes_add(query, key.scope);
    if (!who.username.empty()) {
        query.add("account", who.username);
        if (key.offline) {
            query.add("offline_token", "true");
            query.add("client_id", "davit");
        }
        request.headers.set("Authorization",
                            "Basic " + base64_encode(who.username + ":" + who.password));
    }
    realm.target.push_back(realm.target.find('?') == std::string::npos ? '?' : '&');
    realm.target.append(query.text());
}

/// One request for a token.
Result<std::pair<Url, ClientRequest>> token_request(const TokenKey& key, bool post) {
    Result<Url> realm = Url::parse(key.realm);
    if (!realm) {
        return std::move(realm).error().context("the registry's token server", key.realm);
    }
    if (realm->scheme != "https" && !key.insecure) {
        return Error(ErrorKind::unauthorized,
                     "the registry's token server is not https: " + realm->text());
    }
    ClientRequest request;
    if (post) {
        post_fill(request, key);
    } else {
        get_fill(request, *realm, key);
    }
    return std::pair(*std::move(realm), std::move(request));
}

}  // namespace

std::string TokenKey::text() const {
    std::string secret = credentials.username;
    for (const std::string* part : {&credentials.password, &credentials.identity_token}) {
        secret.append(1, '\0').append(*part);
    }
    return realm + "\n" + service + "\n" + scope + "\n" + sha256_of(secret).str() +
           (offline ? "\noffline" : "");
}

Result<Token> token_parse(std::string_view body, MonotonicTime now) {
    Result<JsonDocument> document = JsonDocument::parse(body);
    if (!document) {
        return Error(ErrorKind::corrupt, "the token server's answer is not JSON");
    }
    const JsonValue root = document->root();
    Token token;
    TRY(token.value, root.string_or("token", ""));
    if (token.value.empty()) {
        TRY(token.value, root.string_or("access_token", ""));
    }
    TRY(token.refresh_token, root.string_or("refresh_token", ""));
    const bool printable = std::all_of(
        token.value.begin(), token.value.end(), [](char c) { return c > ' ' && c < 0x7f; });
    if (token.value.empty() || !printable) {
        return Error(ErrorKind::corrupt, "the token server's answer has no token");
    }
    TRY(const std::int64_t seconds, root.int64_or("expires_in", expiry_default.count()));
    const std::int64_t bounded = std::clamp<std::int64_t>(seconds, expiry_default.count(), 86400);
    token.expires = now + std::chrono::seconds(bounded) - expiry_margin;
    return token;
}

Task<Token> TokenCache::fetch(HttpClient& http, TokenKey key) {
    bool post = !key.credentials.identity_token.empty();
    for (;;) {
        CO_TRY(auto prepared, token_request(key, post));
        auto& [url, request] = prepared;
        CO_TRY(ClientResponse response, co_await http.send(std::move(url), std::move(request)));
        CO_TRY(const std::string body,
               co_await response.read_body_all(limits::registry_small_body_bytes_max));
        const int status = response.status();
        if (status == 200) {
            co_return token_parse(body, monotonic_now());
        }
        if (!post && !key.credentials.username.empty() && (status == 404 || status == 405)) {
            post = true;  // A server that knows the newer way only.
            continue;
        }
        const RegistrySubject nobody;
        Error error = registry_error(response.head, body, nobody);
        if (status == 400 || status == 403) {
            error = std::move(error).with_kind(ErrorKind::unauthorized);
        }
        co_return std::move(error).context("log in to the registry's token server");
    }
}

Task<std::string> TokenCache::get(HttpClient& http, TokenKey key) {
    const MonotonicTime now = monotonic_now();
    drop_expired(now);
    std::shared_ptr<Entry>& place = entries_[key.text()];
    if (!place) {
        place = std::make_shared<Entry>();
    }
    const std::shared_ptr<Entry> entry = place;  // The map may change while we wait.
    CO_TRY(const Semaphore::Permit turn, co_await entry->fetching.lock());
    if (entry->token.value.empty() || entry->token.expires <= monotonic_now()) {
        CO_TRY(entry->token, co_await fetch(http, key));
    }
    co_return entry->token.value;
}

std::string TokenCache::refresh_token(const TokenKey& key) const {
    const auto found = entries_.find(key.text());
    return found == entries_.end() ? std::string() : found->second->token.refresh_token;
}

void TokenCache::refused(const TokenKey& key, const std::string& token) {
    const auto found = entries_.find(key.text());
    if (found != entries_.end() && found->second->token.value == token) {
        found->second->token.value.clear();
    }
}

void TokenCache::drop_expired(MonotonicTime now) {
    std::erase_if(entries_, [now](const auto& item) {
        // An entry without a token is being fetched.
        return item.second.use_count() == 1 && item.second->token.expires <= now;
    });
}

}  // namespace davit
