#include "tests/unit/graph/tar/layer_support.h"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <stdexcept>
#include <vector>

#include "tests/unit/graph/tar/tar_support.h"

namespace davit::test {

namespace {

std::string xattrs_of(const std::string& path) {
    std::array<char, 4096> names{};
    const ssize_t size = ::llistxattr(path.c_str(), names.data(), names.size());
    std::map<std::string, std::string> sorted;
    for (ssize_t at = 0; at < size;) {
        const std::string name(&names[static_cast<std::size_t>(at)]);
        std::array<char, 4096> value{};
        const ssize_t length = ::lgetxattr(path.c_str(), name.c_str(), value.data(), value.size());
        sorted[name] = std::string(value.data(), length > 0 ? static_cast<std::size_t>(length) : 0);
        at += static_cast<ssize_t>(name.size()) + 1;
    }
    std::string text;
    for (const auto& [name, value] : sorted) {
        text += " " + name + "=" + value;
    }
    return text;
}

std::string describe(const std::string& path, const struct stat& info, bool mtimes) {
    char text[160];
    std::snprintf(text,
                  sizeof(text),
                  "%06o %u:%u links=%u rdev=%u,%u",
                  info.st_mode,
                  info.st_uid,
                  info.st_gid,
                  S_ISDIR(info.st_mode) ? 0U : static_cast<unsigned>(info.st_nlink),
                  major(info.st_rdev),
                  minor(info.st_rdev));
    std::string result = text + xattrs_of(path);
    if (mtimes) {
        std::snprintf(
            text, sizeof(text), " mtime=%ld.%09ld", info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
        result += text;
    }
    if (S_ISREG(info.st_mode)) {
        auto content = file_read(path, 1 << 24);
        result += " size=" + std::to_string(info.st_size) +
                  " content=" + (content ? *content : content.error().message());
    } else if (S_ISLNK(info.st_mode)) {
        std::array<char, 4097> target{};
        const ssize_t size = ::readlink(path.c_str(), target.data(), target.size());
        result +=
            " -> " + std::string(target.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
    }
    return result;
}

void list_into(const std::string& directory,
               const std::string& prefix,
               const ListingOptions& options,
               Listing& listing) {
    DIR* stream = ::opendir(directory.c_str());
    if (stream == nullptr) {
        throw std::runtime_error("opendir " + directory);
    }
    std::vector<std::string> names;
    while (const dirent* entry = ::readdir(stream)) {
        const std::string name = entry->d_name;
        if (name != "." && name != ".." && !(prefix.empty() && name == options.skip)) {
            names.push_back(name);
        }
    }
    ::closedir(stream);
    for (const std::string& name : names) {
        const std::string path = directory + "/" + name;

        struct stat info {};

        if (::lstat(path.c_str(), &info) != 0) {
            throw std::runtime_error("lstat " + path);
        }
        listing[prefix + name] = describe(path, info, options.mtimes);
        if (S_ISDIR(info.st_mode)) {
            list_into(path, prefix + name + "/", options, listing);
        }
    }
}

}  // namespace

Listing listing(const std::string& directory, const ListingOptions& options) {
    Listing result;
    list_into(directory, "", options, result);
    return result;
}

LayerDir::LayerDir(const std::string& base) : path_(base + "/davit-layer-test-XXXXXX") {
    if (::mkdtemp(path_.data()) == nullptr) {
        throw std::runtime_error("mkdtemp " + path_);
    }
    for (const char* name : {"/root", "/outside", "/outside/dir"}) {
        if (::mkdir((path_ + name).c_str(), 0755) != 0) {
            throw std::runtime_error("mkdir");
        }
    }
    for (const char* name : {"/victim", "/outside/file", "/outside/dir/file"}) {
        if (!file_replace(AT_FDCWD, path_ + name, "precious")) {
            throw std::runtime_error("write");
        }
    }
}

LayerDir::~LayerDir() {
    static_cast<void>(remove_tree(AT_FDCWD, path_));
}

Fd LayerDir::root_fd() const {
    return *Fd::open(root(), O_RDONLY | O_DIRECTORY);
}

Listing LayerDir::outside() const {
    ListingOptions options;
    options.skip = "root";
    return listing(path_, options);
}

Extraction extract(Fd root,
                   std::string_view archive,
                   LayerExtractOptions options,
                   std::size_t slice) {
    Extraction extraction;
    auto opened = LayerExtract::open(std::move(root), options);
    if (!opened) {
        extraction.error = opened.error();
        return extraction;
    }
    while (!archive.empty()) {
        if (auto fed = opened->feed(bytes_of(archive.substr(0, slice))); !fed) {
            extraction.error = fed.error();
            return extraction;
        }
        archive.remove_prefix(std::min(slice, archive.size()));
    }
    auto finished = opened->finish();
    if (finished) {
        extraction.result = *finished;
    } else {
        extraction.error = finished.error();
    }
    return extraction;
}

TarEntry entry_of(TarType type, std::string path, std::uint32_t mode) {
    TarEntry entry;
    entry.type = type;
    entry.path = std::move(path);
    entry.mode = mode;
    entry.uid = ::geteuid();
    entry.gid = ::getegid();
    entry.mtime = {1'000'000'000, 500'000'000};
    return entry;
}

ArchiveBuilder& ArchiveBuilder::add(TarEntry entry, std::string_view content) {
    TarWriter writer(archive_);
    if (auto added = writer.add(entry, content); !added) {
        throw std::runtime_error(added.error().message());
    }
    return *this;
}

ArchiveBuilder& ArchiveBuilder::file(std::string path, std::string_view content) {
    return add(entry_of(TarType::file, std::move(path), 0644), content);
}

ArchiveBuilder& ArchiveBuilder::directory(std::string path, std::uint32_t mode) {
    return add(entry_of(TarType::directory, std::move(path), mode));
}

ArchiveBuilder& ArchiveBuilder::symlink(std::string path, std::string target) {
    TarEntry entry = entry_of(TarType::symlink, std::move(path), 0777);
    entry.linkpath = std::move(target);
    return add(std::move(entry));
}

ArchiveBuilder& ArchiveBuilder::hardlink(std::string path, std::string target) {
    TarEntry entry = entry_of(TarType::hardlink, std::move(path), 0644);
    entry.linkpath = std::move(target);
    return add(std::move(entry));
}

std::string ArchiveBuilder::build() const {
    return archive_ + zero_blocks();
}

}  // namespace davit::test
