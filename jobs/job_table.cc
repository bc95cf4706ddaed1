#include <array>

#include "jobs/engine.h"

namespace davit {

std::span<const JobEntry> job_table() {
    static constexpr auto table = std::to_array<JobEntry>({
        {"container_attach", "carry a container's streams to and from a client"},
        {"container_create", "make a container from an image"},
        {"container_kill", "send a signal to a container"},
        {"container_logs", "read a container's log"},
        {"container_remove", "remove a container and what belongs to it"},
        {"container_restart", "stop a container and start it again"},
        {"container_start", "run a container's program"},
        {"container_stop", "end a container's program"},
        {"image_import", "make an image from an archive of files"},
        {"image_pull", "fetch an image from a registry"},
        {"image_remove", "remove an image's names, and the image with its last"},
        {"image_tag", "give an image another name"},
    });
    return table;
}

}  // namespace davit
