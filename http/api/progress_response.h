#pragma once
/// ProgressResponse: work that reports progress, as a stream of JSON to the client.
#include <string>

#include "http/api/context.h"
#include "jobs/image/progress.h"

namespace davit::api {

/// Runs the work, and writes its reports to the client as they come. Until the first one the status
/// is open, so an early failure gets its real code; a later one is the stream's last object.
class ProgressResponse final : public ProgressSink {
  public:
    explicit ProgressResponse(ApiContext& context) : context_(context) {}

    void update(const ProgressMessage& message) override { queue_.update(message); }

    void phase(std::string_view name) override;

    /// work ends before this does. Errors: work's, if nothing was written yet; the client's.
    Task<void> carry(Task<void> work);

  private:
    Task<void> run(Task<void> work);
    Task<void> write_all_messages();

    ApiContext& context_;
    ProgressQueue queue_;
    Result<void> outcome_ = ok;
};

}  // namespace davit::api
