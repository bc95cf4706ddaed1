#pragma once
// A registry in the test's own loop that stores what is pushed to it.
#include <map>
#include <optional>
#include <string>

#include "reactor/base/digest.h"
#include "tests/unit/http/registry/fake_registry.h"

namespace davit::test {

/// A registry that takes uploads as docker-registry does; its addresses change with each answer.
struct UploadRegistry {
    struct Upload {
        std::string bytes;
        int serial = 0;  ///< Of its newest address: older ones are gone.
    };

    std::map<std::string, std::string> blobs;
    std::map<std::string, FakeRequest> manifests;  ///< By tag, as they came.
    std::map<std::string, std::string> mountable;  ///< Repository that a digest can be had from.
    std::map<int, Upload> uploads;                 ///< Those that were begun and not ended.
    int begun = 0;
    std::string chunk_min;
    bool knows_status = true;
    std::function<std::optional<FakeReply>(const FakeRequest&)> instead;
    FakeRegistry registry{[this](const FakeRequest& request) { return answer(request); }};

    FakeReply state(int id, int status) {
        Upload& upload = uploads[id];
        const std::size_t end = upload.bytes.empty() ? 0 : upload.bytes.size() - 1;
        FakeReply reply =
            FakeReply::of(status)
                .with("Location",
                      "/up/" + std::to_string(id) + "/" + std::to_string(++upload.serial) + "?s=1")
                .with("Range", "0-" + std::to_string(end));
        if (!chunk_min.empty()) {
            reply.headers.set("OCI-Chunk-Min-Length", chunk_min);
        }
        return reply;
    }

    FakeReply post(const Query& query) {
        const std::string digest(query.get("mount"));
        if (!digest.empty() && mountable[digest] == query.get("from")) {
            return FakeReply::of(201);
        }
        return state(++begun, 202);
    }

    FakeReply put(int id, const FakeRequest& request, const Query& query) {
        const std::string bytes = uploads[id].bytes + request.body;
        const std::string digest(query.get("digest"));
        uploads.erase(id);
        if (sha256_of(bytes).str() != digest) {
            return FakeReply::of(
                400, R"({"errors":[{"code":"DIGEST_INVALID","message":"it does not match"}]})");
        }
        blobs[digest] = bytes;
        return FakeReply::of(201);
    }

    /// A request to an upload's address.
    FakeReply upload(const FakeRequest& request, const std::string& path, const Query& query) {
        const std::size_t slash = path.find('/', 4);
        const int id = path.starts_with("/up/") ? std::stoi(path.substr(4, slash - 4)) : 0;
        if (!uploads.contains(id) || path.substr(slash + 1) != std::to_string(uploads[id].serial)) {
            return FakeReply::of(
                404, R"({"errors":[{"code":"BLOB_UPLOAD_UNKNOWN","message":"unknown upload"}]})");
        }
        if (request.method == "GET") {
            return knows_status ? state(id, 204) : FakeReply::of(404);
        }
        if (request.method == "PATCH") {
            uploads[id].bytes += request.body;
            return state(id, 202);
        }
        if (request.method == "DELETE") {
            uploads.erase(id);
            return FakeReply::of(204);
        }
        return put(id, request, query);
    }

    FakeReply answer(const FakeRequest& request) {
        if (instead) {
            if (std::optional<FakeReply> reply = instead(request)) {
                return *std::move(reply);
            }
        }
        const std::string path = request.target.substr(0, request.target.find('?'));
        const std::string name = path.substr(path.rfind('/') + 1);
        const Query query = Query::parse(
            path.size() == request.target.size() ? "" : request.target.substr(path.size() + 1));
        if (request.method == "HEAD") {
            return FakeReply::of(blobs.contains(name) ? 200 : 404);
        }
        if (request.method == "PUT" && path.find("/manifests/") != std::string::npos) {
            manifests[name] = request;
            return FakeReply::of(201);
        }
        return request.method == "POST" ? post(query) : upload(request, path, query);
    }

    std::size_t methods(std::string_view method) const {
        std::size_t found = 0;
        for (const FakeRequest& request : registry.requests) {
            found += request.method == method ? 1 : 0;
        }
        return found;
    }
};

}  // namespace davit::test
