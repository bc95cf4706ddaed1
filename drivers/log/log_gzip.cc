#include "drivers/log/log_gzip.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <limits>
#include <string_view>
#include <vector>

#include "graph/deflate.h"

namespace davit {

namespace {

constexpr std::size_t block_bytes = 256 * 1024;
constexpr std::size_t input_bytes = 64 * 1024;

using namespace std::string_view_literals;

/// Magic, deflate, FCOMMENT, no time, no flags, unix.
constexpr std::string_view comment_head = "\x1f\x8b\x08\x10\0\0\0\0\0\x03"sv;
constexpr std::string_view comment_name = "davit log of inode "sv;
/// The end of the comment, an empty last block, and checksum and length of nothing.
constexpr std::string_view comment_tail = "\0\x03\0\0\0\0\0\0\0\0\0"sv;

std::span<const std::uint8_t> bytes_of(std::string_view text) {
    const void* raw = text.data();
    return {static_cast<const std::uint8_t*>(raw), text.size()};
}

std::span<std::uint8_t> bytes_of(std::span<char> buffer) {
    void* raw = buffer.data();
    return {static_cast<std::uint8_t*>(raw), buffer.size()};
}

Result<std::size_t> read_at(int fd, std::span<char> buffer, std::uint64_t offset) {
    for (;;) {
        const ssize_t got = ::pread(fd, buffer.data(), buffer.size(), static_cast<off_t>(offset));
        if (got >= 0) {
            return static_cast<std::size_t>(got);
        }
        if (errno != EINTR) {
            return Error::from_errno(errno, "pread", "log");
        }
    }
}

}  // namespace

Result<Fd> log_compress(int source, const std::string& directory) {
    struct stat info {};

    if (::fstat(source, &info) != 0) {
        return Error::from_errno(errno, "fstat", "log");
    }
    TRY(Fd made, Fd::open(directory, O_TMPFILE | O_WRONLY, 0640));
    TRY_VOID(write_all(made.get(),
                       std::string(comment_head)
                           .append(comment_name)
                           .append(std::to_string(info.st_ino))
                           .append(comment_tail)));
    Deflate deflate(Compression::gzip);
    std::vector<char> input(block_bytes);
    std::vector<char> output(block_bytes);
    std::uint64_t offset = 0;
    for (bool done = false; !done;) {
        TRY(const std::size_t got, read_at(source, input, offset));
        offset += got;
        std::string_view left(input.data(), got);
        do {
            const DeflateProgress step =
                deflate.step(bytes_of(left), bytes_of(std::span(output)), got == 0);
            left.remove_prefix(step.consumed);
            done = step.done;
            TRY_VOID(write_all(made.get(), std::string_view(output.data(), step.produced)));
        } while (!left.empty() || (got == 0 && !done));
    }
    return made;
}

Result<LogInflate> LogInflate::open(int fd) {
    std::array<char, 64> head{};
    TRY(const std::size_t got, read_at(fd, head, 0));
    std::string_view text(head.data(), got);
    const std::size_t before = comment_head.size() + comment_name.size();
    std::uint64_t inode = 0;
    if (text.starts_with(comment_head) &&
        text.substr(comment_head.size()).starts_with(comment_name)) {
        text.remove_prefix(before);
        const auto parsed = std::from_chars(text.data(), text.data() + text.size(), inode);
        if (parsed.ec == std::errc{} && parsed.ptr != text.data() + text.size() &&
            *parsed.ptr == '\0') {
            return LogInflate(fd, inode);
        }
    }
    return Error(ErrorKind::corrupt, "a compressed log that davit did not write");
}

void LogInflate::rewind() {
    inflate_.emplace(std::numeric_limits<std::uint64_t>::max());
    input_.clear();
    input_used_ = 0;
    offset_ = 0;
    ended_ = false;
}

Result<std::size_t> LogInflate::input_fill() {
    input_.resize(input_bytes);
    input_used_ = 0;
    Result<std::size_t> got = read_at(fd_, input_, offset_);
    input_.resize(got ? *got : 0);
    offset_ += input_.size();
    return got;
}

Result<std::size_t> LogInflate::read(std::span<char> output) {
    while (!ended_) {
        if (input_used_ == input_.size()) {
            TRY(const std::size_t got, input_fill());
            if (got == 0) {
                ended_ = true;
                TRY_VOID(inflate_->finish());
                break;
            }
        }
        const auto step = inflate_->step(bytes_of(std::string_view(input_).substr(input_used_)),
                                         bytes_of(output));
        if (!step) {
            ended_ = true;
            return step.error();
        }
        input_used_ += step->consumed;
        if (step->produced > 0) {
            return step->produced;
        }
    }
    return std::size_t{0};
}

}  // namespace davit
