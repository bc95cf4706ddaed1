#include "http/registry/registry_client.h"

#include <algorithm>
#include <charconv>
#include <ctime>

#include "http/registry/base64.h"
#include "reactor/timer.h"

namespace davit {

namespace {

/// Manifests and tokens are wanted by somebody who waits: not all of RegistryRetry's attempts.
constexpr unsigned metadata_attempts_max = 2;

bool is_busy(int status) {
    return status == 429 || status == 500 || (status >= 502 && status <= 504);
}

/// Whether the next endpoint may know better.
bool is_endpoint_failure(int status) {
    return status == 404 || status == 429 || status >= 500;
}

bool is_redirect(int status) {
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/// https failed in a way that plain http may not.
bool may_be_plain(const Error& error) {
    switch (error.kind()) {
        case ErrorKind::unavailable:
        case ErrorKind::corrupt:
        case ErrorKind::unauthorized:
        case ErrorKind::timed_out:
            return true;
        case ErrorKind::invalid_argument:
        case ErrorKind::not_found:
        case ErrorKind::conflict:
        case ErrorKind::not_modified:
        case ErrorKind::permission_denied:
        case ErrorKind::resource_exhausted:
        case ErrorKind::cancelled:
        case ErrorKind::unsupported:
        case ErrorKind::internal:
            return false;
    }
    return false;
}

}  // namespace

Nanoseconds RegistryRetry::pause_before(unsigned attempt) const {
    Nanoseconds length = pause;
    for (unsigned i = 1; i < attempt && length < pause_max; ++i) {
        length *= 2;
    }
    return std::min(length, pause_max);
}

std::optional<Nanoseconds> retry_after_parse(const Headers& headers, WallTime now) {
    const std::string text(headers.get("Retry-After"));
    if (text.empty()) {
        return std::nullopt;
    }
    unsigned seconds = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (error == std::errc{} && end == text.data() + text.size()) {
        return std::chrono::seconds(seconds);
    }
    std::tm date{};
    const char* rest = ::strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &date);
    if (rest == nullptr || *rest != '\0') {
        return std::nullopt;
    }
    const std::chrono::seconds at(::timegm(&date));
    return std::max(Nanoseconds(at) - Nanoseconds(now.time_since_epoch()), Nanoseconds(0));
}

Task<RegistryResponse> send_following(HttpClient& http, Url url, RegistryCall call) {
    const Url origin = url;
    for (int redirects = 0; redirects <= limits::registry_redirects_max; ++redirects) {
        ClientRequest request;
        request.method = call.method;
        request.headers = call.headers;
        request.body = call.body;
        Url target = url;
        CO_TRY(ClientResponse response, co_await http.send(std::move(target), std::move(request)));
        const std::string location(response.head.headers.get("Location"));
        if (!is_redirect(response.status()) || location.empty()) {
            RegistryResponse answer{std::move(response), !url.same_origin(origin)};
            co_return std::move(answer);
        }
        CO_TRY(Url next, url.resolve(location));
        if (url.scheme == "https" && next.scheme != "https") {
            co_return Error(ErrorKind::permission_denied,
                            "the registry redirects from https to " + next.text());
        }
        if (!next.same_origin(origin)) {
            call.headers.remove("Authorization");
        }
        url = std::move(next);
        // Read to the end, the connection can be used again; if not, it is dropped.
        Result<std::string> rest =
            co_await response.read_body_all(limits::registry_small_body_bytes_max);
        if (!rest && rest.error().kind() == ErrorKind::cancelled) {
            co_return std::move(rest).error();
        }
    }
    co_return Error(ErrorKind::unavailable, "too many redirects from " + origin.text());
}

RegistryClient::RegistryClient(RegistryOptions options)
    : options_(std::move(options)),
      downloads_(options_.downloads_parallel_max),
      uploads_(options_.uploads_parallel_max) {}

RegistryClient::~RegistryClient() = default;

RegistryClient::Host& RegistryClient::host(const RegistryEndpoint& endpoint) {
    std::unique_ptr<Host>& place = hosts_[endpoint.base.authority()];
    if (!place) {
        HttpClientOptions http = options_.http;
        if (endpoint.insecure) {
            http.insecure_hosts.push_back(endpoint.base.host);
        }
        place = std::make_unique<Host>(std::move(http));
    }
    return *place;
}

Result<RegistryRepository> RegistryRepository::make(RegistryClient& client,
                                                    const std::string& domain,
                                                    std::string path,
                                                    RegistrySubject subject,
                                                    RegistryCredentials credentials) {
    RegistryRepository repository(
        client, std::move(path), std::move(subject), std::move(credentials));
    repository.domain_ = domain;
    TRY(std::vector<RegistryEndpoint> endpoints,
        registry_endpoints(client.options().config, domain));
    for (RegistryEndpoint& endpoint : endpoints) {
        EndpointState state;
        state.endpoint = std::move(endpoint);
        repository.endpoints_.push_back(std::move(state));
    }
    return repository;
}

std::string RegistryRepository::target_of(const EndpointState& state,
                                          const std::string& suffix) const {
    if (access_ == RegistryAccess::search) {
        return state.endpoint.base.target + "v1/search?" + suffix;
    }
    std::string target = state.endpoint.base.target + "v2/";
    if (access_ == RegistryAccess::login) {
        return target;
    }
    target.append(path_).append("/").append(suffix);
    if (state.endpoint.mirror && domain_ != "docker.io") {
        // For proxies of many registries.
        target.append(target.find('?') == std::string::npos ? "?" : "&");
        target.append("ns=").append(percent_encode(domain_));
    }
    return target;
}

Result<void> RegistryRepository::challenged(EndpointState& state, const ResponseHead& head) {
    const RegistryCredentials nobody;
    const RegistryCredentials& who = state.endpoint.mirror ? nobody : credentials_;
    bool basic_wanted = false;
    for (const AuthChallenge& challenge : challenges_parse(head.headers)) {
        if (challenge.scheme == "bearer" && !challenge.parameter("realm").empty()) {
            state.auth = AuthKind::bearer;
            TokenKey& key = state.token_key;
            key.realm = challenge.parameter("realm");
            key.service = challenge.parameter("service");
            key.scope = scope_wanted(challenge.parameter("scope"));
            key.credentials = who;
            key.offline = access_ == RegistryAccess::login;
            key.insecure = state.endpoint.insecure;
            return ok;
        }
        basic_wanted = basic_wanted || challenge.scheme == "basic";
    }
    if (basic_wanted && who.username.empty()) {
        return Error(ErrorKind::unauthorized, "no basic auth credentials");
    }
    if (basic_wanted) {
        state.auth = AuthKind::basic;
        return ok;
    }
    return Error(ErrorKind::unauthorized,
                 "the registry wants a way to log in that is not known here: " +
                     std::string(head.headers.get("WWW-Authenticate")));
}

Task<std::string> RegistryRepository::authorization(std::size_t index) {
    EndpointState& state = endpoints_[index];
    if (!credentials_.registry_token.empty() && !state.endpoint.mirror) {
        co_return "Bearer " + credentials_.registry_token;
    }
    switch (state.auth) {
        case AuthKind::none:
            co_return std::string();
        case AuthKind::basic:
            co_return "Basic " + base64_encode(credentials_.username + ":" + credentials_.password);
        case AuthKind::bearer:
            break;
    }
    TokenKey key = state.token_key;
    HttpClient& http = client_->host(state.endpoint).http;
    CO_TRY(const std::string token, co_await client_->tokens().get(http, std::move(key)));
    co_return "Bearer " + token;
}

Task<RegistryResponse> RegistryRepository::send_any_scheme(std::size_t index, RegistryCall call) {
    const RegistryEndpoint& endpoint = endpoints_[index].endpoint;
    RegistryClient::Host& host = client_->host(endpoint);
    Url url = endpoint.base;
    url.target = target_of(endpoints_[index], call.suffix);
    if (url.scheme == "https" && host.plain) {
        url.port = url.port == 443 ? 80 : url.port;
        url.scheme = "http";
        Result<RegistryResponse> answer =
            co_await send_following(host.http, std::move(url), std::move(call));
        // Whatever listens there now may be another server.
        host.plain = answer || !may_be_plain(answer.error());
        co_return std::move(answer);
    }
    Result<RegistryResponse> secure = co_await send_following(host.http, url, call);
    if (secure || url.scheme != "https" || !endpoint.insecure || !may_be_plain(secure.error())) {
        co_return std::move(secure);
    }
    url.port = url.port == 443 ? 80 : url.port;
    url.scheme = "http";
    Result<RegistryResponse> plain =
        co_await send_following(host.http, std::move(url), std::move(call));
    host.plain = plain.has_value();
    co_return std::move(plain);
}

Task<bool> RegistryRepository::challenge_take(std::size_t index,
                                              ClientResponse& response,
                                              const std::string& authorization_value) {
    EndpointState& state = endpoints_[index];
    if (state.auth == AuthKind::basic || !credentials_.registry_token.empty()) {
        co_return false;  // The same again would be refused again.
    }
    if (state.auth == AuthKind::bearer && authorization_value.size() > 7) {
        client_->tokens().refused(state.token_key, authorization_value.substr(7));
    }
    CO_CHECK(challenged(state, response.head));
    Result<std::string> rest =
        co_await response.read_body_all(limits::registry_small_body_bytes_max);
    if (!rest && rest.error().kind() == ErrorKind::cancelled) {
        co_return std::move(rest).error();
    }
    co_return true;
}

Task<RegistryResponse> RegistryRepository::request_at(std::size_t index, RegistryCall call) {
    // At most: without or with an old token; with a new one.
    for (int logins = 0;; ++logins) {
        CO_TRY(const std::string authorization_value, co_await authorization(index));
        RegistryCall sent = call;
        if (!authorization_value.empty()) {
            sent.headers.set("Authorization", authorization_value);
        }
        CO_TRY(RegistryResponse answer, co_await send_any_scheme(index, std::move(sent)));
        if (answer.response.status() != 401 || answer.elsewhere || logins == 1) {
            co_return std::move(answer);
        }
        CO_TRY(const bool again,
               co_await challenge_take(index, answer.response, authorization_value));
        if (!again) {
            co_return std::move(answer);
        }
    }
}

Task<RegistryResponse> RegistryRepository::request(RegistryCall call) {
    if (call.own) {
        co_return co_await request_own(std::move(call));
    }
    for (std::size_t tried = 0;; ++tried) {
        const std::size_t index = (preferred_ + tried) % endpoints_.size();
        const bool last = tried + 1 == endpoints_.size();
        Result<RegistryResponse> answer = co_await request_at(index, call);
        if (!answer) {
            if (last || answer.error().kind() == ErrorKind::cancelled) {
                co_return std::move(answer).error().context(
                    "registry", endpoints_[index].endpoint.base.authority());
            }
            continue;
        }
        const int status = answer->response.status();
        const bool refused_by_mirror = endpoints_[index].endpoint.mirror && status >= 400;
        if (!last && (refused_by_mirror || is_endpoint_failure(status))) {
            continue;
        }
        if (status < 400) {
            preferred_ = index;
        }
        co_return std::move(answer);
    }
}

Task<RegistryResponse> RegistryRepository::request_patiently(RegistryCall call) {
    for (unsigned attempt = 1;; ++attempt) {
        CO_TRY(RegistryResponse answer, co_await request(call));
        if (!is_busy(answer.response.status()) || attempt > metadata_attempts_max) {
            co_return std::move(answer);
        }
        const std::optional<Nanoseconds> asked =
            retry_after_parse(answer.response.head.headers, wall_now());
        if (asked && *asked > retry().retry_after_max) {
            co_return std::move(answer);
        }
        const Nanoseconds pause =
            std::max(asked.value_or(Nanoseconds(0)), retry().pause_before(attempt));
        CO_CHECK(co_await sleep_for(pause));
    }
}

Task<RegistryResponse> RegistryRepository::get(std::string suffix, Headers headers) {
    RegistryCall call;
    call.suffix = std::move(suffix);
    call.headers = std::move(headers);
    return request(std::move(call));
}

Task<RegistryResponse> RegistryRepository::get_url(std::string url, Headers headers) {
    CO_TRY(Url parsed, Url::parse(url));
    HttpClient& http = client_->host(endpoints_.back().endpoint).http;
    RegistryCall call;
    call.headers = std::move(headers);
    CO_TRY(RegistryResponse answer,
           co_await send_following(http, std::move(parsed), std::move(call)));
    answer.elsewhere = true;
    co_return std::move(answer);
}

Task<void> RegistryRepository::fail(ClientResponse response) {
    Result<std::string> body =
        co_await response.read_body_all(limits::registry_small_body_bytes_max);
    if (!body && body.error().kind() == ErrorKind::cancelled) {
        co_return std::move(body).error();
    }
    co_return registry_error(response.head, body ? *body : std::string(), subject_);
}

}  // namespace davit
