#include "bench/support/workspace.h"

#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include <fmt/format.h>

#include "bench/bench.h"
#include "bench/support/process.h"
#include "reactor/base/digest.h"
#include "reactor/base/fd.h"

namespace davit::bench {
namespace {

constexpr const char* image_directories[] = {"bin", "dev", "etc", "proc", "sys", "tmp"};
constexpr const char* image_links[] = {"true", "sh", "echo", "sleep", "yes", "head"};
constexpr std::size_t busybox_bytes_max = 16UL << 20;

Result<std::string> busybox_read() {
    const std::string program = program_find("busybox");
    if (program.empty()) {
        return Error(ErrorKind::not_found, "a static busybox is missing (Debian: busybox-static)");
    }
    return file_read(program, busybox_bytes_max);
}

/// One ustar header block. Follows: POSIX pax, "ustar Interchange Format".
std::string tar_header(const std::string& name, char type, std::size_t size, const char* link) {
    std::string block(512, '\0');
    const auto put = [&block](std::size_t at, const std::string& text) {
        block.replace(at, text.size(), text);
    };
    put(0, name);
    put(100, "0000755");
    put(108, "0000000");
    put(116, "0000000");
    put(124, fmt::format("{:011o}", size));
    put(136, fmt::format("{:011o}", 1'700'000'000));
    put(148, "        ");
    put(156, std::string(1, type));
    put(157, link);
    put(257,
        std::string("ustar\0"
                    "00",
                    8));
    unsigned sum = 0;
    for (const char byte : block) {
        sum += static_cast<unsigned char>(byte);
    }
    put(148, fmt::format("{:06o}", sum) + std::string("\0 ", 2));
    return block;
}

/// The machine's, in Go's words.
std::string architecture() {
    utsname system{};
    const std::string machine = uname(&system) == 0 ? system.machine : "x86_64";
    return machine == "x86_64" ? "amd64" : machine == "aarch64" ? "arm64" : machine;
}

}  // namespace

Result<Workspace> Workspace::make(const std::string& name) {
    const char* base = std::getenv("TMPDIR");
    std::string path =
        fmt::format("{}/davit-bench-{}-XXXXXX", base == nullptr ? "/var/tmp" : base, name);
    if (mkdtemp(path.data()) == nullptr) {
        return Error::from_errno(errno, "mkdtemp", path);
    }
    return Workspace(path);
}

Workspace::~Workspace() {
    if (path_.empty()) {
        return;
    }
    if (Result<void> removed = remove_tree(AT_FDCWD, path_); !removed) {
        fmt::print(stderr, "{}, ignoring\n", removed.error().message());
    }
}

Result<std::string> Workspace::directory(const std::string& name) const {
    std::string path = path_ + "/" + name;
    TRY_VOID(make_directories(path));
    return path;
}

Result<std::string> Workspace::busybox_rootfs() const {
    TRY(std::string program, busybox_read());
    TRY(std::string root, directory("rootfs"));
    for (const char* name : image_directories) {
        TRY_VOID(make_directories(root + "/" + name));
    }
    TRY_VOID(file_replace(AT_FDCWD, root + "/bin/busybox", program, 0755));
    for (const char* name : image_links) {
        if (symlink("busybox", (root + "/bin/" + name).c_str()) != 0 && errno != EEXIST) {
            return Error::from_errno(errno, "symlink", name);
        }
    }
    return root;
}

Result<std::string> Workspace::busybox_tar(const std::string& more) {
    std::string tar;
    for (const char* name : image_directories) {
        tar += tar_header(fmt::format("{}/", name), '5', 0, "");
    }
    const auto add = [&tar](const std::string& name, const std::string& program) {
        tar += tar_header(name, '0', program.size(), "");
        tar += program;
        tar.resize((tar.size() + 511) / 512 * 512);
    };
    TRY(const std::string busybox, busybox_read());
    add("bin/busybox", busybox);
    if (!more.empty()) {
        TRY(const std::string program, file_read(more, busybox_bytes_max));
        add("bin" + more.substr(more.rfind('/')), program);
    }
    for (const char* name : image_links) {
        tar += tar_header(fmt::format("bin/{}", name), '2', 0, "busybox");
    }
    return tar + std::string(1024, '\0');
}

std::string Workspace::tar_of(const std::vector<std::pair<std::string, std::string>>& files) {
    std::string tar;
    for (const auto& [name, content] : files) {
        tar += tar_header(name, '0', content.size(), "");
        tar += content;
        tar.resize((tar.size() + 511) / 512 * 512);
    }
    return tar + std::string(1024, '\0');
}

std::string Workspace::image_config(const std::string& layer,
                                    const std::vector<std::string>& argv) {
    std::string words;
    for (const std::string& word : argv) {
        words += (words.empty() ? "" : ",") + json_quote(word);
    }
    return fmt::format(R"({{"architecture":"{}","os":"linux","config":{{"Env":["PATH=/bin"],)"
                       R"("Cmd":[{}]}},"rootfs":{{"type":"layers","diff_ids":["{}"]}}}})",
                       architecture(),
                       words,
                       sha256_of(layer).str());
}

/// Follows: moby image-spec v1.2, "Combined Image JSON + Filesystem Changeset Format".
std::string Workspace::image_archive(const std::string& layer,
                                     const std::string& reference,
                                     const std::vector<std::string>& argv) {
    const std::string manifest = fmt::format(
        R"([{{"Config":"config.json","RepoTags":["{}"],"Layers":["layer.tar"]}}])", reference);
    return tar_of({{"manifest.json", manifest},
                   {"config.json", image_config(layer, argv)},
                   {"layer.tar", layer}});
}

}  // namespace davit::bench
