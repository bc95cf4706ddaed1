#pragma once
/// RegistryClient: what is shared by everything that talks to registries; RegistryRepository: one
/// repository of one registry, with somebody's credentials.
///
/// A request goes to the registry's endpoints in order (mirrors first), answers a 401 by logging
/// in, follows redirects, and repeats itself when the registry is busy. Credentials go to the
/// registry and its token server only: never to a mirror, never along a redirect to another origin.
///
/// Follows: OCI distribution-spec; Docker Registry HTTP API V2.
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "graph/manifest.h"
#include "http/client.h"
#include "http/registry/credentials.h"
#include "http/registry/endpoint.h"
#include "http/registry/registry_error.h"
#include "http/registry/token.h"
#include "reactor/async_event.h"
#include "reactor/base/digest.h"
#include "reactor/base/limits.h"

namespace davit {

struct RegistryRetry {
    /// Repetitions without progress before a transfer is given up.
    unsigned attempts_max = 5;
    /// The first pause; doubles each time.
    Nanoseconds pause = std::chrono::milliseconds(500);
    Nanoseconds pause_max = std::chrono::seconds(30);
    /// A registry that asks for a longer pause than this is not waited for.
    Nanoseconds retry_after_max = std::chrono::seconds(60);

    /// The pause before the repetition with this number, from 1.
    Nanoseconds pause_before(unsigned attempt) const;
};

/// A transfer that brought this much was no failure: the count of attempts begins anew.
inline constexpr std::uint64_t registry_progress_bytes = 1024 * 1024;

/// Docker's default for parallel layer uploads, engine-wide.
inline constexpr std::size_t registry_uploads_max = 5;

struct RegistryOptions {
    RegistryConfig config;
    RegistryRetry retry;
    HttpClientOptions http;
    std::size_t downloads_parallel_max = limits::downloads_parallel_max;
    std::size_t uploads_parallel_max = registry_uploads_max;
};

class RegistryClient {
  public:
    explicit RegistryClient(RegistryOptions options);
    ~RegistryClient();
    RegistryClient(const RegistryClient&) = delete;
    RegistryClient& operator=(const RegistryClient&) = delete;

    const RegistryOptions& options() const { return options_; }

    /// Turns for downloading layers, for the whole engine.
    Semaphore& downloads() { return downloads_; }

    /// Turns for uploading layers, for the whole engine.
    Semaphore& uploads() { return uploads_; }

    /// Who changes a list of referrers: it is read, and written again as a whole.
    AsyncMutex& referrers_turn() { return referrers_turn_; }

    TokenCache& tokens() { return tokens_; }

    /// What is known of one endpoint, by its host: shared by its repositories.
    struct Host {
        explicit Host(HttpClientOptions options) : http(std::move(options)) {}

        HttpClient http;
        /// An insecure host that answered by http.
        bool plain = false;
    };

    Host& host(const RegistryEndpoint& endpoint);

  private:
    RegistryOptions options_;
    Semaphore downloads_;
    Semaphore uploads_;
    AsyncMutex referrers_turn_;
    TokenCache tokens_;
    std::map<std::string, std::unique_ptr<Host>> hosts_;
};

/// One request below /v2/<path>/.
struct RegistryCall {
    std::string method = "GET";
    std::string suffix = {};
    Headers headers = {};
    std::string body = {};
    /// Never to a mirror: what is pushed belongs into the registry itself.
    bool own = false;
};

/// What a repository is used for: the rights that a token is asked for.
enum class RegistryAccess : std::uint8_t { pull, push, login, search };

/// A response, and whether it came from another origin than the registry's.
struct RegistryResponse {
    ClientResponse response;
    bool elsewhere = false;
};

struct ManifestHead {
    std::string media_type;
    Digest digest;  ///< As the registry says: not verified.
};

struct FetchedManifest {
    std::string media_type;  ///< The Content-Type, without parameters.
    Digest digest;           ///< Of the body; verified if it was asked for by digest.
    std::string body;        ///< Byte for byte.
};

class RegistryRepository {
  public:
    /// Takes: domain ("docker.io"), path ("library/alpine"), and how people spell it ("alpine").
    /// The client must outlive it. Errors: invalid_argument.
    static Result<RegistryRepository> make(RegistryClient& client,
                                           const std::string& domain,
                                           std::string path,
                                           RegistrySubject subject,
                                           RegistryCredentials credentials);

    /// Ask for a manifest's digest without fetching it. Gives nothing if the registry does not tell
    /// (no such manifest, no digest in the answer): manifest_get() then finds out why.
    Task<std::optional<ManifestHead>> manifest_head(std::string reference);

    /// Takes: a tag, or a digest, which the body must then have.
    /// Errors: as registry_error(); corrupt for a wrong digest; resource_exhausted for more than
    ///         limits::manifest_bytes_max.
    Task<FetchedManifest> manifest_get(std::string reference);

    /// A whole small blob, verified. Errors: as manifest_get().
    Task<std::string> blob_get(Digest digest, std::uint64_t bytes, std::size_t bytes_max);

    /// The manifests there that are about this one (signatures, attestations, lists of parts), in
    /// the registry's order, each once; none if there is no such repository. Takes: artifact_type:
    /// only those of this type; "": all. How a registry that keeps no such list is asked:
    /// referrers.h. Errors: as registry_error(); corrupt (malformed, or a list that does not end);
    ///         resource_exhausted (registry_referrers_max).
    Task<std::vector<Descriptor>> referrers(Digest subject, std::string artifact_type);

    /// All tags, in the registry's order, each once.
    /// Errors: as registry_error(); corrupt (malformed, or a list that does not end);
    ///         resource_exhausted (registry_tags_max, registry_tag_pages_max).
    Task<std::vector<std::string>> tags_list();

    /// Begin a GET below /v2/<path>/, following redirects; statuses of 400 and above are responses,
    /// too, from the last endpoint that was asked.
    Task<RegistryResponse> get(std::string suffix, Headers headers);

    /// A blob's bytes may come from elsewhere (foreign layers): no credentials, no mirrors.
    Task<RegistryResponse> get_url(std::string url, Headers headers);

    /// Whether the repository (or a mirror, unless for a push) has the blob.
    /// Errors: as registry_error().
    Task<bool> blob_exists(Digest digest);

    // --- pushing (repository_push.cc): always to the registry itself ----------------------------

    /// From now on ask for the right to push. Takes: mount_from, paths of the same registry whose
    /// blobs are to be mounted, which takes the right to read them.
    void push_prepare(std::vector<std::string> mount_from = {});

    /// Store a manifest under a tag or its digest, byte for byte. If it is about another one, and
    /// the registry keeps no list of such manifests, it is added to the one that clients keep
    /// (referrers.h). Errors: as registry_error(); corrupt, if the registry says that it stored
    /// something else; as manifest_contents().
    Task<Digest> manifest_put(std::string reference, std::string media_type, std::string body);

    /// A request to the registry itself. Statuses of 400 and above are responses, too.
    Task<RegistryResponse> request_own(RegistryCall call);

    /// A request to an address that the registry gave (an upload's). Authorization goes along if
    /// it is the registry's own origin; a 401 is answered by logging in, unless the request has a
    /// producer: its bytes are gone. Redirects are responses.
    Task<ClientResponse> send_at(Url url, ClientRequest request);

    /// The registry's own address for what is below /v2/<path>/, by the scheme it last answered by.
    Url own_url(const std::string& suffix) const;

    /// Whether the registry takes the credentials. Gives: an identity token, if its token server
    /// issued one, else "". Errors: unauthorized; as registry_error().
    Task<std::string> login();

    /// Search by the first version of the API, which Docker Hub still answers. Takes: term, not
    /// empty; count, how many results at most. Gives: the answer, JSON. Errors: as
    /// registry_error().
    Task<std::string> search(std::string term, std::size_t count);

    /// "127.0.0.1:5000": the registry itself.
    std::string authority() const { return endpoints_.back().endpoint.base.authority(); }

    const RegistrySubject& subject() const { return subject_; }

    const RegistryRetry& retry() const { return client_->options().retry; }

    /// The error of a response of 400 and above; reads its body.
    Task<void> fail(ClientResponse response);

  private:
    enum class AuthKind : std::uint8_t { none, basic, bearer };

    struct EndpointState {
        RegistryEndpoint endpoint;
        AuthKind auth = AuthKind::none;
        TokenKey token_key;
    };

    RegistryRepository(RegistryClient& client,
                       std::string path,
                       RegistrySubject subject,
                       RegistryCredentials credentials)
        : client_(&client),
          path_(std::move(path)),
          subject_(std::move(subject)),
          credentials_(std::move(credentials)) {}

    Task<RegistryResponse> manifest_store(std::string reference,
                                          std::string media_type,
                                          std::string body);
    Task<void> referrer_note(Descriptor referrer, Digest subject);
    Task<std::string> referrers_kept(std::string tag);
    Task<RegistryResponse> request(RegistryCall call);
    Task<RegistryResponse> request_patiently(RegistryCall call);
    Task<RegistryResponse> request_at(std::size_t index, RegistryCall call);
    Task<RegistryResponse> send_any_scheme(std::size_t index, RegistryCall call);
    Task<std::string> authorization(std::size_t index);
    /// Take note of a 401's challenge. Gives: whether the request may be sent again.
    Task<bool> challenge_take(std::size_t index,
                              ClientResponse& response,
                              const std::string& authorization_value);
    Result<void> challenged(EndpointState& state, const ResponseHead& head);
    std::string scope_wanted(std::string_view challenged_scope) const;
    std::string target_of(const EndpointState& state, const std::string& suffix) const;

    RegistryClient* client_;
    std::string path_;
    RegistrySubject subject_;
    RegistryCredentials credentials_;
    std::string domain_;
    std::vector<EndpointState> endpoints_;
    std::size_t preferred_ = 0;
    RegistryAccess access_ = RegistryAccess::pull;
    std::vector<std::string> mount_from_;
};

/// Retry-After: seconds or a date; nothing if absent or malformed.
std::optional<Nanoseconds> retry_after_parse(const Headers& headers, WallTime now);

/// Send (method, headers and body of a call), and follow redirects: Authorization goes no further
/// than the first URL's origin, and https does not become http.
Task<RegistryResponse> send_following(HttpClient& http, Url url, RegistryCall call);

}  // namespace davit
