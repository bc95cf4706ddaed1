#pragma once
/// BlobSource: a blob of a registry as a layer's bytes. Owns its way to the registry: it may
/// outlive the pull or push that it was made for.
#include <memory>

#include "http/registry/blob_reader.h"
#include "jobs/image/layer_pipeline.h"

namespace davit {

class BlobSource final : public LayerSource {
  public:
    BlobSource(std::shared_ptr<RegistryRepository> repository, BlobDescriptor blob)
        : repository_(std::move(repository)), reader_(*repository_, std::move(blob)) {}

    Task<std::size_t> read(std::span<char> buffer) override { return reader_.read(buffer); }

    bool resumed() const override { return reader_.resumed(); }

  private:
    std::shared_ptr<RegistryRepository> repository_;
    BlobReader reader_;
};

}  // namespace davit
