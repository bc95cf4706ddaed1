#include "reactor/offload.h"

#include <uv.h>

namespace davit {

struct OffloadAwaiterBase::Glue {
    static void run(uv_work_t* request) { static_cast<OffloadAwaiterBase*>(request->data)->work(); }

    static void after(uv_work_t* request, int) {
        static_cast<OffloadAwaiterBase*>(request->data)->complete();
    }

    static void bulk_run(void* self) noexcept { static_cast<OffloadAwaiterBase*>(self)->work(); }

    static void bulk_done(void* self) noexcept {
        static_cast<OffloadAwaiterBase*>(self)->complete();
    }
};

OffloadAwaiterBase::OffloadAwaiterBase(OffloadLane lane)
    : request_(lane == OffloadLane::brief ? std::make_unique<uv_work_t>() : nullptr) {}

OffloadAwaiterBase::~OffloadAwaiterBase() = default;

void OffloadAwaiterBase::start() {
    if (request_ == nullptr) {
        bulk_ = {Glue::bulk_run, Glue::bulk_done, this};
        Loop::current().bulk().submit(bulk_);
        return;
    }
    request_->data = this;
    [[maybe_unused]] const int result =
        uv_queue_work(Loop::current().uv(), request_.get(), Glue::run, Glue::after);
    assert(result == 0);
}

void OffloadAwaiterBase::on_cancel() noexcept {
    // Either way `after` follows: this only decides whether `run` still happens.
    if (request_ == nullptr) {
        Loop::current().bulk().take_back(bulk_);
        return;
    }
    uv_cancel(reinterpret_cast<uv_req_t*>(request_.get()));
}

}  // namespace davit
