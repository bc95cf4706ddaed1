#pragma once
/// JobSource: the standard input of a job as an archive's bytes (import, load).
#include "jobs/engine.h"
#include "jobs/image/layer_pipeline.h"

namespace davit {

class JobSource final : public LayerSource {
  public:
    /// job must outlive the source.
    explicit JobSource(Job& job) : job_(job) {}

    Task<std::size_t> read(std::span<char> buffer) override { return job_.read(buffer); }

  private:
    Job& job_;
};

}  // namespace davit
