#pragma once
/// Cancellation: a tree of scopes that awaited tasks inherit; nobody passes a token along.
///
/// A leaf awaiter checks its scope before it starts and subscribes while it waits. A subscription
/// fires at most once, inline, and may only queue work (Loop::post): it never resumes a coroutine
/// itself. Scopes and subscriptions are links of intrusive lists: they never move and never
/// allocate.
#include <cassert>
#include <utility>

namespace davit {

class CancelScope;

/// A callback that fires when a scope is cancelled, unless it is destroyed or disarmed first.
class CancelSubscription {
  public:
    using Callback = void (*)(void* context) noexcept;

    CancelSubscription() = default;
    CancelSubscription(const CancelSubscription&) = delete;
    CancelSubscription& operator=(const CancelSubscription&) = delete;

    ~CancelSubscription() { disarm(); }

    /// Subscribe. scope may be null (never cancelled). The scope must not be cancelled already.
    void arm(CancelScope* scope, Callback callback, void* context);

    void disarm();

  private:
    friend class CancelScope;

    CancelSubscription* next_ = nullptr;
    CancelSubscription* previous_ = nullptr;
    CancelScope* scope_ = nullptr;
    Callback callback_ = nullptr;
    void* context_ = nullptr;
};

class CancelScope {
  public:
    /// A child is cancelled with its parent; a null parent makes a root.
    explicit CancelScope(CancelScope* parent = nullptr) {
        if (parent != nullptr && parent->cancelled_) {
            cancelled_ = true;
        } else {
            parent_link_.arm(
                parent,
                [](void* self) noexcept { static_cast<CancelScope*>(self)->cancel(); },
                this);
        }
    }

    CancelScope(const CancelScope&) = delete;
    CancelScope& operator=(const CancelScope&) = delete;

    ~CancelScope() { assert(first_ == nullptr && "a task outlives its cancel scope"); }

    /// Idempotent. Fires every subscription, newest first.
    void cancel() noexcept {
        if (cancelled_) {
            return;
        }
        cancelled_ = true;
        while (first_ != nullptr) {
            CancelSubscription* subscription = first_;
            subscription->disarm();
            subscription->callback_(subscription->context_);
        }
    }

    bool cancelled() const { return cancelled_; }

  private:
    friend class CancelSubscription;

    CancelSubscription* first_ = nullptr;
    CancelSubscription parent_link_;
    bool cancelled_ = false;
};

inline void CancelSubscription::arm(CancelScope* scope, Callback callback, void* context) {
    assert(scope_ == nullptr);
    if (scope == nullptr) {
        return;
    }
    assert(!scope->cancelled_);
    scope_ = scope;
    callback_ = callback;
    context_ = context;
    next_ = scope->first_;
    if (next_ != nullptr) {
        next_->previous_ = this;
    }
    scope->first_ = this;
}

inline void CancelSubscription::disarm() {
    if (scope_ == nullptr) {
        return;
    }
    if (previous_ != nullptr) {
        previous_->next_ = next_;
    } else {
        scope_->first_ = next_;
    }
    if (next_ != nullptr) {
        next_->previous_ = previous_;
    }
    next_ = previous_ = nullptr;
    scope_ = nullptr;
}

}  // namespace davit
