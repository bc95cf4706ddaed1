#pragma once
/// What Inflate consists of: one decoder per compression, each a function from buffer to buffer.
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "graph/inflate.h"
#include "reactor/base/result.h"

namespace davit {

class InflateDecoder {
  public:
    InflateDecoder() = default;
    InflateDecoder(const InflateDecoder&) = delete;
    InflateDecoder& operator=(const InflateDecoder&) = delete;
    virtual ~InflateDecoder() = default;

    /// As Inflate::step(). Its first bytes are the magic number that chose the decoder.
    virtual Result<InflateProgress> step(std::span<const std::uint8_t> input,
                                         std::span<std::uint8_t> output) = 0;

    /// There is no more input. Errors: corrupt if the stream was cut short.
    virtual Result<void> finish() const = 0;
};

/// For formats whose streams may follow one another in one file, each with an end of its own
/// (gzip's members, the streams of xz and bzip2), with zeros behind them.
class InflateMembers : public InflateDecoder {
  public:
    struct Format {
        std::string_view name;
        std::uint8_t first_byte;   ///< Of every member.
        std::size_t padding_unit;  ///< Zeros between members come in these; 0: zeros are the end.
    };

    explicit InflateMembers(Format format) : format_(format) {}

    Result<InflateProgress> step(std::span<const std::uint8_t> input,
                                 std::span<std::uint8_t> output) override;
    Result<void> finish() const override;

  protected:
    struct MemberProgress {
        std::size_t consumed = 0;
        std::size_t produced = 0;
        bool ended = false;  ///< The member is complete, its checksums right.
    };

    /// A member begins with the next byte. Errors: resource_exhausted.
    virtual Result<void> member_begin() = 0;

    /// Input may be empty, output is not.
    virtual Result<MemberProgress> member_step(std::span<const std::uint8_t> input,
                                               std::span<std::uint8_t> output) = 0;

    /// Members before the present one.
    std::uint64_t members_ended() const { return members_ended_; }

    Error corrupt(std::string_view what) const;

  private:
    Result<std::size_t> between(std::span<const std::uint8_t> input);

    Format format_;
    bool inside_ = false;
    std::uint64_t padding_ = 0;  ///< Zeros since the last member.
    std::uint64_t members_ended_ = 0;
};

std::unique_ptr<InflateDecoder> inflate_gzip();
std::unique_ptr<InflateDecoder> inflate_zstd();
std::unique_ptr<InflateDecoder> inflate_bzip2();
std::unique_ptr<InflateDecoder> inflate_xz();

}  // namespace davit
