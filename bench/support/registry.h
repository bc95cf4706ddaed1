#pragma once
/// A registry on loopback with one image in it: what a pull is done from while others start.
#include <list>
#include <memory>
#include <string>
#include <thread>

#include "bench/support/workspace.h"
#include "reactor/base/fd.h"

namespace davit::bench {

/// In threads of this process. Serves pulls alone, over plain HTTP, to whoever asks.
class Registry {
  public:
    /// Makes an image of one gzipped layer (1,024 small files and a large one, 64 MiB) and serves
    /// it at a port that the kernel chooses. Errors: not_found (no gzip); as socket(2).
    static Result<std::unique_ptr<Registry>> start(const Workspace& workspace);

    Registry(const Registry&) = delete;
    Registry& operator=(const Registry&) = delete;
    ~Registry();

    /// "127.0.0.1:PORT/NAME", and the tag.
    const std::string& repository() const { return repository_; }

    static constexpr const char* tag = "latest";

    /// Of the layer as it is sent.
    std::size_t layer_bytes() const { return layer_.size(); }

  private:
    struct Connection;
    struct Answer;

    Registry() = default;

    Result<void> image_make(const Workspace& workspace);
    Result<void> listen();
    void accept_all();
    void serve(int socket) const;
    Answer find(const std::string& path) const;

    std::string layer_;
    std::string config_;
    std::string manifest_;
    std::string layer_digest_;
    std::string config_digest_;
    std::string manifest_digest_;
    std::string repository_;
    Fd socket_;
    std::list<Connection> connections_;  // Of the accepting thread, until that has ended.
    std::thread accepting_;
};

}  // namespace davit::bench
