#pragma once
/// FunctionRef<R(Args...)>: a callable borrowed for the length of a call. Two words, no allocation.
/// Never store one: it does not own what it refers to.
#include <memory>
#include <type_traits>
#include <utility>

namespace davit {

template <typename Signature>
class FunctionRef;

template <typename R, typename... Args>
class FunctionRef<R(Args...)> {
  public:
    template <typename F>

    requires(!std::is_same_v<std::remove_cvref_t<F>, FunctionRef> &&
             std::is_invocable_r_v<R, F&, Args...>)
        FunctionRef(
            F&& callable)  // NOLINT(google-explicit-constructor): passing a lambda is the point.
        : object_(const_cast<void*>(static_cast<const void*>(std::addressof(callable)))),
          call_([](void* object, Args... args) -> R {
              return (*static_cast<std::remove_reference_t<F>*>(object))(
                  std::forward<Args>(args)...);
          }) {}

    R operator()(Args... args) const { return call_(object_, std::forward<Args>(args)...); }

  private:
    void* object_;
    R (*call_)(void*, Args...);
};

}  // namespace davit
