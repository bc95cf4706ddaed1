#include "reactor/offload.h"

namespace davit {

void OffloadAwaiterBase::start() {
    work_.run = [](void* self) noexcept { static_cast<OffloadAwaiterBase*>(self)->work(); };
    work_.done = [](void* self) noexcept { static_cast<OffloadAwaiterBase*>(self)->complete(); };
    work_.context = this;
    pool_.submit(work_);
}

void OffloadAwaiterBase::on_cancel() noexcept {
    pool_.take_back(work_);
}

}  // namespace davit
