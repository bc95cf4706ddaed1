#pragma once
/// The private directory of one benchmark run, and the busybox image in the forms that the
/// contenders take. Removed with everything in it at the end.
#include <string>
#include <utility>
#include <vector>

#include "reactor/base/result.h"

namespace davit::bench {

class Workspace {
  public:
    /// A fresh directory below $TMPDIR (else /var/tmp: real storage, not tmpfs).
    static Result<Workspace> make(const std::string& name);

    Workspace(Workspace&& other) noexcept : path_(std::exchange(other.path_, "")) {}

    Workspace& operator=(Workspace&&) = delete;
    Workspace(const Workspace&) = delete;
    Workspace& operator=(const Workspace&) = delete;
    ~Workspace();

    const std::string& path() const { return path_; }

    /// A directory in the workspace, made if need be.
    Result<std::string> directory(const std::string& name) const;

    /// A root file system directory: static busybox as /bin/true and /bin/sh, empty mount points.
    Result<std::string> busybox_rootfs() const;

    /// The same as a tar file in memory (ustar). Takes: the path of a static program that comes
    /// along in /bin, if any.
    static Result<std::string> busybox_tar(const std::string& more = "");

    /// Files of these names and contents as a tar.
    static std::string tar_of(const std::vector<std::pair<std::string, std::string>>& files);

    /// The configuration of an image with this tar as its only layer.
    static std::string image_config(const std::string& layer, const std::vector<std::string>& argv);

    /// An image of such a tar, as `docker save` writes it. Takes: name:tag, and what it runs.
    static std::string image_archive(const std::string& layer,
                                     const std::string& reference,
                                     const std::vector<std::string>& argv);

  private:
    explicit Workspace(std::string path) : path_(std::move(path)) {}

    std::string path_;
};

}  // namespace davit::bench
