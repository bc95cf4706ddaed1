// Manifests and configs: whole documents, checked before anybody reads them.
#include "http/registry/registry_client.h"

namespace davit {

namespace {

/// One field each: some registries read only the first.
constexpr std::string_view manifest_types[] = {
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    // Asked for last, so that it can be refused by name.
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
};

Headers manifest_headers() {
    Headers headers;
    std::string accept;
    for (const std::string_view type : manifest_types) {
        accept.append(accept.empty() ? "" : ", ").append(type);
    }
    headers.set("Accept", std::move(accept));
    return headers;
}

std::string media_type_of(const ResponseHead& head) {
    const std::string_view value = head.headers.get("Content-Type");
    std::string_view type = value.substr(0, value.find(';'));
    while (type.ends_with(' ')) {
        type.remove_suffix(1);
    }
    return std::string(type);
}

Error digest_error(const std::string& what, const std::string& wanted, const std::string& got) {
    return Error(ErrorKind::corrupt,
                 what + " verification failed for digest " + wanted + ": it is " + got);
}

Digest digest_of(std::string_view algorithm, std::string_view body) {
    Hasher hasher(algorithm);
    hasher.update(body);
    return hasher.finish();
}

}  // namespace

Task<std::optional<ManifestHead>> RegistryRepository::manifest_head(std::string reference) {
    RegistryCall call;
    call.method = "HEAD";
    call.suffix = "manifests/" + reference;
    call.headers = manifest_headers();
    call.own = access_ == RegistryAccess::push;
    CO_TRY(RegistryResponse answer, co_await request_patiently(std::move(call)));
    std::optional<ManifestHead> found;
    if (answer.response.status() == 200) {
        const ResponseHead& head = answer.response.head;
        Result<Digest> digest = Digest::parse(head.headers.get("Docker-Content-Digest"));
        if (digest) {
            found = ManifestHead{media_type_of(head), *std::move(digest)};
        }
    }
    co_return std::move(found);
}

Task<FetchedManifest> RegistryRepository::manifest_get(std::string reference) {
    RegistryCall call;
    call.suffix = "manifests/" + reference;
    call.headers = manifest_headers();
    CO_TRY(RegistryResponse answer, co_await request_patiently(std::move(call)));
    if (answer.response.status() != 200) {
        CO_CHECK(co_await fail(std::move(answer.response)));
    }
    FetchedManifest manifest;
    Result<std::string> body = co_await answer.response.read_body_all(limits::manifest_bytes_max);
    if (!body) {
        co_return std::move(body).error().context("manifest", subject_.familiar);
    }
    manifest.body = *std::move(body);
    manifest.media_type = media_type_of(answer.response.head);
    Result<Digest> wanted = Digest::parse(reference);
    const std::string_view told = answer.response.head.headers.get("Docker-Content-Digest");
    if (!wanted && !told.empty()) {
        // By tag the registry's word only has to agree with its bytes.
        wanted = Digest::parse(told);
    }
    manifest.digest = digest_of(wanted ? wanted->algorithm() : "sha256", manifest.body);
    if (wanted && manifest.digest != *wanted) {
        co_return digest_error("manifest", wanted->str(), manifest.digest.str());
    }
    co_return std::move(manifest);
}

Task<std::string> RegistryRepository::blob_get(Digest digest,
                                               std::uint64_t bytes,
                                               std::size_t bytes_max) {
    if (bytes > bytes_max) {
        co_return Error(
            ErrorKind::resource_exhausted,
            "blob " + digest.str() + " is too large: " + std::to_string(bytes) + " bytes");
    }
    RegistryCall call;
    call.suffix = "blobs/" + digest.str();
    CO_TRY(RegistryResponse answer, co_await request_patiently(std::move(call)));
    if (answer.response.status() != 200) {
        CO_CHECK(co_await fail(std::move(answer.response)));
    }
    CO_TRY(std::string body, co_await answer.response.read_body_all(bytes_max));
    if (body.size() != bytes) {
        co_return Error(ErrorKind::corrupt,
                        "blob " + digest.str() + " has " + std::to_string(body.size()) +
                            " bytes, not " + std::to_string(bytes));
    }
    const Digest got = digest_of(digest.algorithm(), body);
    if (got != digest) {
        co_return digest_error("blob", digest.str(), got.str());
    }
    co_return std::move(body);
}

}  // namespace davit
