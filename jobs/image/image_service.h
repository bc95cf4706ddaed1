#pragma once
/// ImageService: what all image jobs work on, and what they share while they run.
#include "drivers/graph/driver.h"
#include "graph/graph_db.h"
#include "graph/image_remove.h"
#include "http/registry/registry_client.h"
#include "jobs/image/layer_pool.h"

namespace davit {

class GraphWriter;

class ImageService {
  public:
    /// All must outlive the service.
    ImageService(GraphDb& db, GraphWriter& writer, GraphDriver& driver, RegistryOptions options)
        : db_(db),
          writer_(writer),
          driver_(driver),
          registry_(std::move(options)),
          layers_(db, writer, driver, registry_.downloads()) {}

    GraphDb& db() { return db_; }

    GraphWriter& writer() { return writer_; }

    GraphDriver& driver() { return driver_; }

    RegistryClient& registry() { return registry_; }

    LayerPool& layers() { return layers_; }

    /// An image_remove() that knows of the containers as they were when it began.
    class Removal {
      public:
        explicit Removal(ImageService& images) : images_(images) { ++images_.removals_; }

        ~Removal() { --images_.removals_; }

        Removal(const Removal&) = delete;
        Removal& operator=(const Removal&) = delete;

      private:
        ImageService& images_;
    };

    bool is_removing() const { return removals_ > 0; }

    /// Cancel what is in flight and wait for its clean-up; before the loop ends.
    Task<void> close() { return layers_.close(); }

  private:
    GraphDb& db_;
    GraphWriter& writer_;
    GraphDriver& driver_;
    RegistryClient registry_;
    LayerPool layers_;
    std::size_t removals_ = 0;
};

}  // namespace davit
