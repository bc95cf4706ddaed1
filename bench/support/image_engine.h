#pragma once
/// Engines as keepers of images: davit and dockerd through their API, podman by its commands.
#include <memory>
#include <string>
#include <vector>

#include "bench/support/engine.h"
#include "bench/support/loop_fs.h"
#include "bench/support/workspace.h"

namespace davit::bench {

/// An engine whose images lie on a fresh file system of its own (support/loop_fs.h).
class ImageEngine {
  public:
    explicit ImageEngine(std::string name) : name_(std::move(name)) {}

    ImageEngine(const ImageEngine&) = delete;
    ImageEngine& operator=(const ImageEngine&) = delete;
    virtual ~ImageEngine() = default;

    const std::string& name() const { return name_; }

    /// REPOSITORY:TAG, from a registry without TLS.
    virtual Result<void> pull(const std::string& reference) = 0;

    /// From a file in the form of docker save.
    virtual Result<void> load(const std::string& archive) = 0;

    /// As an archive that is read to its end and thrown away.
    virtual Result<void> save(const std::string& reference) = 0;

    /// A missing image is fine. What is deleted after the answer is waited for: it would be at the
    /// expense of who is next.
    virtual Result<void> remove(const std::string& reference) = 0;

    virtual bool has(const std::string& reference) = 0;

    /// The daemon, if there is one that stays.
    virtual const Engine* daemon() const { return nullptr; }

  private:
    std::string name_;
};

/// davit, dockerd and podman, in this order; says on stdout which cannot run here, and why. The
/// workspace must outlive them. Errors: unavailable if there is none.
Result<std::vector<std::unique_ptr<ImageEngine>>> image_engines_make(const Workspace& workspace,
                                                                     const std::string& davit);

}  // namespace davit::bench
