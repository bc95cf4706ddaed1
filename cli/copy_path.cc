#include "cli/copy_path.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <filesystem>
#include <memory>

namespace davit::cli {

namespace {

constexpr int links_max = 10;  // As Docker's.

bool names_itself(std::string_view path) {
    return path == "." || path.ends_with("/.");
}

/// Go's filepath.Clean; what is relative is taken from the root.
std::string clean(std::string_view path) {
    std::string cleaned =
        std::filesystem::path("/")
            .append(path.substr(std::min(path.find_first_not_of('/'), path.size())))
            .lexically_normal()
            .string();
    if (cleaned.size() > 1 && cleaned.ends_with('/')) {
        cleaned.pop_back();
    }
    return cleaned;
}

/// Go's filepath.Base.
std::string base_of(std::string_view path) {
    while (path.size() > 1 && path.ends_with('/')) {
        path.remove_suffix(1);
    }
    return path == "/" ? "/" : std::string(path.substr(path.rfind('/') + 1));
}

Result<std::string> links_follow(const std::string& path) {
    const std::unique_ptr<char, void (*)(void*)> real(::realpath(path.c_str(), nullptr), ::free);
    if (real == nullptr) {
        return Error::from_errno(errno, "lstat", path);
    }
    return std::string(real.get());
}

Result<std::string> link_read(const std::string& path) {
    std::array<char, PATH_MAX> target{};
    const ssize_t size = ::readlink(path.c_str(), target.data(), target.size());
    if (size < 0) {
        return Error::from_errno(errno, "readlink", path);
    }
    return std::string(target.data(), static_cast<std::size_t>(size));
}

}  // namespace

CopyArgument copy_argument_parse(std::string_view argument) {
    const std::size_t colon = argument.find(':');
    if (argument.starts_with('/') || argument.starts_with('.') || colon == std::string_view::npos) {
        return {"", std::string(argument)};
    }
    return {std::string(argument.substr(0, colon)), std::string(argument.substr(colon + 1))};
}

CopySplit copy_path_split(std::string_view path) {
    std::string cleaned = clean(path);
    if (names_itself(path)) {
        return {cleaned, "."};
    }
    if (cleaned == "/") {
        return {"/", "/"};
    }
    const std::size_t slash = cleaned.rfind('/');
    return {slash == 0 ? "/" : cleaned.substr(0, slash), cleaned.substr(slash + 1)};
}

std::string copy_path_absolute(std::string_view path) {
    std::string whole(path);
    if (!path.starts_with('/')) {
        const std::unique_ptr<char, void (*)(void*)> here(::getcwd(nullptr, 0), ::free);
        whole = (here == nullptr ? std::string("/") : std::string(here.get())) + "/" + whole;
    }
    std::string cleaned = clean(whole);
    if (names_itself(path)) {
        cleaned.append(cleaned == "/" ? "." : "/.");
    } else if (path.ends_with('/') && cleaned != "/") {
        cleaned.push_back('/');
    }
    return cleaned;
}

void copy_path_rebase(std::string_view original, CopyEnd& end) {
    if (names_itself(original) && !names_itself(end.path)) {
        end.path.append("/.");
    }
    if (original.ends_with('/') && !end.path.ends_with('/')) {
        end.path.push_back('/');
    }
    if (base_of(original) != base_of(end.path)) {
        end.rebase_name = base_of(original);
    }
}

Result<CopyEnd> copy_source(const std::string& path, bool follow_link) {
    CopyEnd end;
    if (follow_link) {
        TRY(end.path, links_follow(path));
        copy_path_rebase(path, end);
    } else {
        const std::size_t slash = path.rfind('/');
        TRY(const std::string directory, links_follow(path.substr(0, slash + 1)));
        end.path = directory + "/" + path.substr(slash + 1);
        if (path.ends_with('/') && base_of(path) != base_of(end.path)) {
            end.rebase_name = base_of(path);
        }
    }

    struct stat info {};

    if (::lstat(end.path.c_str(), &info) != 0) {
        return Error::from_errno(errno, "lstat", end.path);
    }
    end.exists = true;
    end.is_directory = S_ISDIR(info.st_mode);
    return end;
}

Result<CopyEnd> copy_destination(std::string path) {
    const std::string original = path;

    struct stat info {};

    int failed = ::lstat(path.c_str(), &info) == 0 ? 0 : errno;
    for (int links = 0; failed == 0 && S_ISLNK(info.st_mode); ++links) {
        if (links > links_max) {
            return Error(ErrorKind::invalid_argument, "too many symlinks in " + original);
        }
        TRY(std::string target, link_read(path));
        path = target.starts_with('/') ? std::move(target)
                                       : clean(copy_path_split(path).directory + "/" + target);
        failed = ::lstat(path.c_str(), &info) == 0 ? 0 : errno;
    }
    CopyEnd end;
    end.path = path;
    if (failed == 0) {
        end.exists = true;
        end.is_directory = S_ISDIR(info.st_mode);
        return end;
    }
    if (failed != ENOENT) {
        return Error::from_errno(failed, "lstat", path);
    }
    const std::string parent = copy_path_split(path).directory;
    if (::stat(parent.c_str(), &info) != 0) {
        return Error::from_errno(errno, "stat", parent);
    }
    if (!S_ISDIR(info.st_mode)) {
        return Error(ErrorKind::invalid_argument, "not a directory");
    }
    return end;
}

Result<void> copy_output_check(const std::string& path) {
    struct stat info {};

    const std::string directory = copy_path_split(path).directory;
    if (::stat(directory.c_str(), &info) != 0 && errno == ENOENT) {
        return Error(ErrorKind::not_found,
                     "invalid output path: directory \"" + directory + "\" does not exist");
    }
    if (::stat(path.c_str(), &info) == 0 && (S_ISCHR(info.st_mode) || S_ISBLK(info.st_mode))) {
        return Error(ErrorKind::invalid_argument,
                     "invalid output path: \"" + path +
                         "\" must be a directory or a regular file: got a device");
    }
    return ok;
}

Result<CopyPlan> copy_plan(const CopyEnd& source, const CopyEnd& destination) {
    if (destination.exists && destination.is_directory) {
        return CopyPlan{destination.path, std::nullopt};
    }
    if (destination.exists && source.is_directory) {
        return Error(ErrorKind::invalid_argument, "cannot copy directory");
    }
    const bool asserts_directory =
        destination.path.ends_with('/') || names_itself(destination.path);
    if (!destination.exists && !source.is_directory && asserts_directory) {
        return Error(ErrorKind::invalid_argument, "no such directory");
    }
    CopySplit split = copy_path_split(destination.path);
    return CopyPlan{std::move(split.directory), std::move(split.base)};
}

}  // namespace davit::cli
