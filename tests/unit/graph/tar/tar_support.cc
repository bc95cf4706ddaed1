#include "tests/unit/graph/tar/tar_support.h"

#include <bzlib.h>
#include <lzma.h>

#include <cstdio>
#include <cstring>
#include <stdexcept>

#include "graph/deflate.h"
#include "graph/pax.h"
#include "graph/tar_reader.h"
#include "reactor/base/fd.h"

namespace davit::test {

std::string fixture(const std::string& name) {
    auto text = file_read(std::string(DAVIT_TAR_FIXTURES "/") + name, 1 << 24);
    if (!text) {
        throw std::runtime_error(text.error().message());
    }
    Inflated inflated = inflate_all(*text);
    if (inflated.error) {
        throw std::runtime_error(inflated.error->message());
    }
    return inflated.bytes;
}

Inflated inflate_all(std::string_view compressed,
                     std::size_t slice,
                     std::size_t output_bytes,
                     std::uint64_t output_bytes_max,
                     Compressions allowed) {
    Inflated result;
    Inflate inflate(output_bytes_max, allowed);
    std::vector<std::uint8_t> output(output_bytes);
    for (bool filled = false; !compressed.empty() || filled;) {
        const auto part = bytes_of(compressed.substr(0, slice));
        auto progress = inflate.step(part, output);
        if (!progress) {
            result.error = progress.error();
            return result;
        }
        result.bytes.append(reinterpret_cast<const char*>(output.data()), progress->produced);
        compressed.remove_prefix(progress->consumed);
        filled = progress->produced == output.size();
    }
    if (auto finished = inflate.finish(); !finished) {
        result.error = finished.error();
    }
    return result;
}

namespace {

std::string bzip2_all(std::string_view bytes) {
    // Small blocks, so that there are several.
    constexpr int block_100k = 1;
    auto size = static_cast<unsigned>(bytes.size() + bytes.size() / 100 + 600);
    std::string result(size, '\0');
    // libbz2's parameter just is not const.
    const int code = ::BZ2_bzBuffToBuffCompress(result.data(),
                                                &size,
                                                const_cast<char*>(bytes.data()),
                                                static_cast<unsigned>(bytes.size()),
                                                block_100k,
                                                0,
                                                0);
    if (code != BZ_OK) {
        throw std::runtime_error("bzip2: " + std::to_string(code));
    }
    result.resize(size);
    return result;
}

std::string xz_all(std::string_view bytes) {
    std::string result(::lzma_stream_buffer_bound(bytes.size()), '\0');
    void* out = result.data();
    std::size_t size = 0;
    const lzma_ret code = ::lzma_easy_buffer_encode(1,
                                                    LZMA_CHECK_CRC64,
                                                    nullptr,
                                                    bytes_of(bytes).data(),
                                                    bytes.size(),
                                                    static_cast<std::uint8_t*>(out),
                                                    &size,
                                                    result.size());
    if (code != LZMA_OK) {
        throw std::runtime_error("xz: " + std::to_string(code));
    }
    result.resize(size);
    return result;
}

}  // namespace

std::string deflate_all(std::string_view bytes,
                        Compression compression,
                        std::size_t slice,
                        std::size_t output_bytes) {
    if (compression == Compression::bzip2 || compression == Compression::xz) {
        return compression == Compression::xz ? xz_all(bytes) : bzip2_all(bytes);
    }
    Deflate deflate(compression);
    std::string result;
    std::vector<std::uint8_t> output(output_bytes);
    for (bool done = false; !done;) {
        const auto part = bytes_of(bytes.substr(0, slice));
        const auto progress = deflate.step(part, output, part.size() == bytes.size());
        result.append(reinterpret_cast<const char*>(output.data()), progress.produced);
        bytes.remove_prefix(progress.consumed);
        done = progress.done;
    }
    return result;
}

bool ParsedEntry::operator==(const ParsedEntry& other) const {
    const auto xattrs_equal = [](const TarXattr& a, const TarXattr& b) {
        return a.name == b.name && a.value == b.value;
    };
    const TarEntry& a = entry;
    const TarEntry& b = other.entry;
    return a.type == b.type && a.path == b.path && a.linkpath == b.linkpath && a.mode == b.mode &&
           a.uid == b.uid && a.gid == b.gid && a.size == b.size && a.mtime == b.mtime &&
           a.dev_major == b.dev_major && a.dev_minor == b.dev_minor &&
           std::equal(
               a.xattrs.begin(), a.xattrs.end(), b.xattrs.begin(), b.xattrs.end(), xattrs_equal) &&
           content == other.content && ended == other.ended;
}

const ParsedEntry& Parsed::at(std::string_view path) const {
    for (const ParsedEntry& entry : entries) {
        if (entry.entry.path == path) {
            return entry;
        }
    }
    throw std::runtime_error("no entry " + std::string(path) + " (" + error_text() + ")");
}

Parsed parse_all(std::string_view archive, std::size_t slice) {
    Parsed parsed;
    TarReader reader;
    for (bool first = true; first || !archive.empty(); first = false) {
        auto input = bytes_of(archive.substr(0, slice));
        archive.remove_prefix(input.size());
        for (;;) {
            auto event = reader.next(input);
            if (!event) {
                parsed.error = event.error();
                return parsed;
            }
            if (event->kind == TarEvent::Kind::need_input) {
                break;
            }
            if (event->kind == TarEvent::Kind::entry) {
                parsed.entries.push_back({reader.entry(), {}, false});
            } else if (event->kind == TarEvent::Kind::data) {
                std::string& content = parsed.entries.back().content;
                content.resize(event->offset, '\0');
                content.append(reinterpret_cast<const char*>(event->data.data()),
                               event->data.size());
            } else if (event->kind == TarEvent::Kind::entry_end) {
                ParsedEntry& last = parsed.entries.back();
                last.ended = true;
                if (last.entry.type == TarType::file && last.entry.size < (1U << 24)) {
                    last.content.resize(last.entry.size, '\0');
                }
            } else {
                parsed.end_seen = true;
            }
        }
    }
    if (auto finished = reader.finish(); !finished) {
        parsed.error = finished.error();
    }
    return parsed;
}

std::string raw_block(const RawHeader& raw) {
    std::string block(tar_block_bytes, '\0');
    const auto put = [&](TarField field, std::string_view text) {
        block.replace(field.offset, std::min(field.size, text.size()), text.substr(0, field.size));
    };
    put(tar_field::name, raw.name);
    put(tar_field::mode, raw.mode);
    put(tar_field::uid, raw.uid);
    put(tar_field::gid, raw.gid);
    put(tar_field::size, raw.size);
    put(tar_field::mtime, raw.mtime);
    put(tar_field::type, std::string(1, raw.type));
    put(tar_field::linkname, raw.linkname);
    put(tar_field::magic, raw.magic);
    put(tar_field::prefix, raw.prefix);
    char sum[8];
    const auto bytes = bytes_of(block);
    std::snprintf(sum, sizeof(sum), "%06o", tar_checksum(TarBlock(bytes.data(), tar_block_bytes)));
    block.replace(tar_field::checksum.offset, 8, std::string(sum, 7) + " ");
    return block;
}

std::string raw_entry(RawHeader raw, std::string_view data) {
    char size[16];
    std::snprintf(size, sizeof(size), "%011zo", data.size());
    raw.size = size;
    return raw_block(raw).append(data).append(tar_padding(data.size()), '\0');
}

std::string raw_pax(const std::map<std::string, std::string>& records, char type) {
    std::string body;
    for (const auto& [key, value] : records) {
        pax_record_append(key, value, body);
    }
    RawHeader raw;
    raw.name = "PaxHeaders.0/x";
    raw.type = type;
    return raw_entry(raw, body);
}

}  // namespace davit::test
