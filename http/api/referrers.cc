// GET /davit/referrers/{name}: what a registry has that is about a manifest. Docker has no such
// call.
#include "http/api/handlers.h"
#include "http/api/registry_auth.h"
#include "http/json_writer.h"
#include "jobs/daemon.h"
#include "jobs/image/image_service.h"

namespace davit::api {

namespace {

/// The manifest or index that a name stands for there.
Task<Digest> subject_of(RegistryRepository& repository, const Reference& reference) {
    if (reference.has_digest()) {
        co_return reference.digest();
    }
    CO_TRY(const std::optional<ManifestHead> head,
           co_await repository.manifest_head(reference.tag()));
    if (head) {
        co_return head->digest;
    }
    CO_TRY(FetchedManifest manifest, co_await repository.manifest_get(reference.tag()));
    co_return std::move(manifest.digest);
}

}  // namespace

Task<void> referrers_list(ApiContext& context) {
    CO_TRY(const Reference parsed_name, Reference::parse(context.params.get("name")));
    const Reference reference = parsed_name.with_default_tag();
    RegistrySubject names{reference.familiar_name(), reference.familiar()};
    CO_TRY(RegistryRepository repository,
           RegistryRepository::make(context.daemon.images->registry(),
                                    reference.domain(),
                                    reference.path(),
                                    std::move(names),
                                    registry_credentials(context)));
    CO_TRY(const Digest subject, co_await subject_of(repository, reference));
    std::string type(context.query.get("artifactType"));
    CO_TRY(const std::vector<Descriptor> referrers,
           co_await repository.referrers(subject, std::move(type)));
    std::string answer;
    JsonWriter json(answer);
    json.begin_object().key("Subject").string(subject.str()).key("Referrers").begin_array();
    for (const Descriptor& referrer : referrers) {
        json.begin_object().key("mediaType").string(referrer.media_type);
        json.key("digest").string(referrer.digest.str()).key("size").number(referrer.size);
        json.key("artifactType").string(referrer.artifact_type);
        json.key("annotations").string_map(referrer.annotations).end_object();
    }
    json.end_array().end_object();
    co_return co_await context.send_json(200, std::move(answer));
}

}  // namespace davit::api
