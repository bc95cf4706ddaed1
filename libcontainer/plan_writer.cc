#include "libcontainer/plan_writer.h"

#include <cassert>
#include <cstring>

namespace davit {

PlanWriter::PlanWriter() {
    bytes_.reserve(8192);
    bytes_.resize(sizeof(plan::Header));
}

void PlanWriter::add(plan::Kind kind, std::initializer_list<std::string_view> strings) {
    add(kind, Fields{}, strings);
}

void PlanWriter::add(plan::Kind kind,
                     const Fields& fields,
                     std::initializer_list<std::string_view> strings) {
    begin(kind, fields);
    for (const std::string_view text : strings) {
        string(text);
    }
}

void PlanWriter::begin(plan::Kind kind, const Fields& fields) {
    end();
    operation_offset_ = bytes_.size();
    ++operation_count_;
    plan::OperationHeader header{};
    header.kind = kind;
    header.flags = fields.flags;
    header.reg = fields.reg;
    header.a = fields.a;
    header.b = fields.b;
    header.c = fields.c;
    header.d = fields.d;
    bytes_.append(reinterpret_cast<const char*>(&header), sizeof(header));
}

plan::OperationHeader& PlanWriter::current() {
    assert(operation_offset_ != 0);
    return *reinterpret_cast<plan::OperationHeader*>(bytes_.data() + operation_offset_);
}

void PlanWriter::string(std::string_view text) {
    nul_seen_ = nul_seen_ || text.find('\0') != std::string_view::npos;
    ++current().string_count;
    bytes_.append(text).push_back('\0');
}

void PlanWriter::raw(std::string_view bytes) {
    assert(operation_offset_ != 0);
    bytes_.append(bytes);
}

void PlanWriter::end() {
    if (operation_offset_ == 0) {
        return;
    }
    bytes_.resize((bytes_.size() + 7) / 8 * 8);
    current().total_bytes = static_cast<std::uint32_t>(bytes_.size() - operation_offset_);
    operation_offset_ = 0;
}

Result<std::string> PlanWriter::finish(std::uint16_t fd_count) {
    end();
    if (nul_seen_) {
        return Error(ErrorKind::invalid_argument, "a container's strings cannot hold a NUL byte");
    }
    if (bytes_.size() > plan::plan_bytes_max) {
        return Error(ErrorKind::resource_exhausted,
                     "launch plan larger than " + std::to_string(plan::plan_bytes_max) + " bytes");
    }
    const plan::Header header{.magic = plan::magic,
                              .version = plan::version,
                              .fd_count = fd_count,
                              .total_bytes = static_cast<std::uint32_t>(bytes_.size()),
                              .operation_count = operation_count_};
    std::memcpy(bytes_.data(), &header, sizeof(header));
    return std::move(bytes_);
}

}  // namespace davit
