#pragma once
/// BlobSource: a blob of a registry as a layer's bytes. Owns its way to the registry: it may
/// outlive the pull or push that it was made for.
#include <memory>

#include "http/registry/blob_ranges.h"
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

/// The same by several transfers at a time, for large blobs. To be closed.
class BlobRangesSource final : public LayerSource {
  public:
    BlobRangesSource(std::shared_ptr<RegistryRepository> repository, BlobDescriptor blob)
        : repository_(std::move(repository)), ranges_(*repository_, std::move(blob)) {}

    Task<std::size_t> read(std::span<char> buffer) override { return ranges_.read(buffer); }

    bool resumed() const override { return ranges_.resumed(); }

    Task<void> close() override { return ranges_.close(); }

  private:
    std::shared_ptr<RegistryRepository> repository_;
    BlobRanges ranges_;
};

}  // namespace davit
