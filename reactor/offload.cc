#include "reactor/offload.h"

#include <uv.h>

namespace davit {

struct OffloadAwaiterBase::Glue {
    static void run(uv_work_t* request) { static_cast<OffloadAwaiterBase*>(request->data)->work(); }

    static void after(uv_work_t* request, int) {
        static_cast<OffloadAwaiterBase*>(request->data)->complete();
    }
};

OffloadAwaiterBase::OffloadAwaiterBase() : request_(std::make_unique<uv_work_t>()) {}

OffloadAwaiterBase::~OffloadAwaiterBase() = default;

void OffloadAwaiterBase::start() {
    request_->data = this;
    [[maybe_unused]] const int result =
        uv_queue_work(Loop::current().uv(), request_.get(), Glue::run, Glue::after);
    assert(result == 0);
}

void OffloadAwaiterBase::on_cancel() noexcept {
    // Either way `after` follows: uv_cancel only decides whether `run` still happens.
    uv_cancel(reinterpret_cast<uv_req_t*>(request_.get()));
}

}  // namespace davit
