#pragma once
/// Appends operations to a plan's bytes; the inverse of plan::Reader.
#include <initializer_list>
#include <string>
#include <string_view>

#include "libcontainer/init/plan_format.h"
#include "reactor/base/result.h"

namespace davit {

class PlanWriter {
  public:
    PlanWriter();

    /// The header's fields that an operation does not use stay zero.
    struct Fields {
        std::uint16_t flags = 0;
        std::uint16_t reg = 0;
        std::uint64_t a = 0;
        std::uint64_t b = 0;
        std::uint64_t c = 0;
        std::uint64_t d = 0;
    };

    void add(plan::Kind kind, std::initializer_list<std::string_view> strings);
    void add(plan::Kind kind,
             const Fields& fields,
             std::initializer_list<std::string_view> strings);

    /// Begin an operation whose strings or raw bytes follow piece by piece, up to the next add or
    /// finish.
    void begin(plan::Kind kind, const Fields& fields);
    void string(std::string_view text);
    void raw(std::string_view bytes);

    /// The finished plan. Errors: invalid_argument (a string held a NUL), resource_exhausted (too
    /// large).
    Result<std::string> finish(std::uint16_t fd_count);

  private:
    plan::OperationHeader& current();
    void end();

    std::string bytes_;
    std::size_t operation_offset_ = 0;  // 0: none begun.
    std::uint32_t operation_count_ = 0;
    bool nul_seen_ = false;
};

}  // namespace davit
