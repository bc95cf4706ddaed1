#pragma once
/// Result<T>: a value or an Error. The only way a davit function fails.
///
/// The shape follows std::expected, which C++20 does not have yet: *r and r-> give the value,
/// r.error() the error, `if (!r)` asks. Both accessors assert. TRY/TRY_VOID pass an error up from a
/// function; CO_TRY/CO_CHECK do it from a coroutine. TRY and CO_TRY are two statements (g++ 12
/// crashes on a co_return inside a statement expression), so they need braces around them under an
/// `if`.
#include <cassert>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include "reactor/base/error.h"

namespace davit {

/// The value of a success that carries nothing: `return ok;`.
struct Ok {};

inline constexpr Ok ok{};

template <typename T>
class [[nodiscard]] Result {
  public:
    using value_type = T;

    template <typename U = T>

    requires(std::is_constructible_v<T, U&&> && !std::is_same_v<std::remove_cvref_t<U>, Result> &&
             !std::is_same_v<std::remove_cvref_t<U>, Error>)
        Result(U&& value)  // NOLINT(google-explicit-constructor): `return value;` is the point.
        : state_(std::in_place_index<0>, std::forward<U>(value)) {}

    Result(Error error)  // NOLINT(google-explicit-constructor): `return error;` is the point.
        : state_(std::in_place_index<1>, std::move(error)) {}

    explicit operator bool() const { return state_.index() == 0; }

    bool has_value() const { return state_.index() == 0; }

    T& operator*() & {
        assert(has_value());
        return *std::get_if<0>(&state_);
    }

    const T& operator*() const& {
        assert(has_value());
        return *std::get_if<0>(&state_);
    }

    T&& operator*() && {
        assert(has_value());
        return std::move(*std::get_if<0>(&state_));
    }

    T* operator->() {
        assert(has_value());
        return std::get_if<0>(&state_);
    }

    const T* operator->() const {
        assert(has_value());
        return std::get_if<0>(&state_);
    }

    Error& error() & {
        assert(!has_value());
        return *std::get_if<1>(&state_);
    }

    const Error& error() const& {
        assert(!has_value());
        return *std::get_if<1>(&state_);
    }

    Error&& error() && {
        assert(!has_value());
        return std::move(*std::get_if<1>(&state_));
    }

  private:
    std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
  public:
    using value_type = void;

    Result(Ok = {}) {}  // NOLINT(google-explicit-constructor)

    Result(Error error) : error_(std::move(error)) {}  // NOLINT(google-explicit-constructor)

    explicit operator bool() const { return !error_.has_value(); }

    bool has_value() const { return !error_.has_value(); }

    void operator*() const { assert(has_value()); }

    Error& error() & {
        assert(error_.has_value());
        return *error_;
    }

    const Error& error() const& {
        assert(error_.has_value());
        return *error_;
    }

    Error&& error() && {
        assert(error_.has_value());
        return std::move(*error_);
    }

  private:
    std::optional<Error> error_;
};

#define DAVIT_CONCAT_(a, b) a##b
#define DAVIT_CONCAT(a, b) DAVIT_CONCAT_(a, b)

#define DAVIT_TRY_(tmp, decl, ret, ...) \
    auto tmp = (__VA_ARGS__);           \
    if (!tmp) [[unlikely]] {            \
        ret std::move(tmp).error();     \
    }                                   \
    decl = *std::move(tmp)

#define DAVIT_CHECK_(tmp, ret, ...)                        \
    do {                                                   \
        if (auto tmp = (__VA_ARGS__); !tmp) [[unlikely]] { \
            ret std::move(tmp).error();                    \
        }                                                  \
    } while (false)

/// TRY(Fd fd, Fd::open(path, O_RDONLY)): declare from the value, or return the error.
#define TRY(decl, ...) DAVIT_TRY_(DAVIT_CONCAT(try_result_, __COUNTER__), decl, return, __VA_ARGS__)
/// TRY_VOID(f()): return the error, if there is one.
#define TRY_VOID(...) DAVIT_CHECK_(DAVIT_CONCAT(check_result_, __COUNTER__), return, __VA_ARGS__)
/// CO_TRY(Fd fd, co_await open(...)): as TRY, in a coroutine.
#define CO_TRY(decl, ...) \
    DAVIT_TRY_(DAVIT_CONCAT(try_result_, __COUNTER__), decl, co_return, __VA_ARGS__)
/// CO_CHECK(co_await f()): as TRY_VOID, in a coroutine.
#define CO_CHECK(...) DAVIT_CHECK_(DAVIT_CONCAT(check_result_, __COUNTER__), co_return, __VA_ARGS__)

}  // namespace davit
