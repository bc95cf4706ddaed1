#include <array>

#include "jobs/engine.h"

namespace davit {

std::span<const JobEntry> job_table() {
    static constexpr auto table = std::to_array<JobEntry>({
        {"container_attach", "carry a container's streams to and from a client"},
        {"container_commit", "make an image of what a container changed"},
        {"container_create", "make a container from an image"},
        {"container_export", "pack a container's file system into an archive"},
        {"container_inspect", "tell everything of a container"},
        {"container_kill", "send a signal to a container"},
        {"container_list", "tell which containers there are"},
        {"container_logs", "read a container's log"},
        {"container_remove", "remove a container and what belongs to it"},
        {"container_resize", "tell a container's terminal its size"},
        {"container_restart", "stop a container and start it again"},
        {"container_start", "run a container's program"},
        {"container_stop", "end a container's program"},
        {"container_wait", "wait for a container's end"},
        {"distribution_inspect", "tell what a registry has under a name"},
        {"events", "tell what happens"},
        {"exec_create", "prepare a further process of a container"},
        {"exec_inspect", "tell everything of an exec"},
        {"exec_resize", "tell an exec's terminal its size"},
        {"exec_start", "run a further process in a container, and carry its streams"},
        {"graph_check", "compare what is recorded with what is on disk"},
        {"graph_repair", "compare what is recorded with what is on disk, and mend it"},
        {"graph_show", "tell of which layers an image is made, and who shares them"},
        {"image_gc", "remove the images that were not used for longest, if the disk is full"},
        {"image_history", "tell how an image was made"},
        {"image_inspect", "tell everything of an image"},
        {"image_list", "tell which images there are"},
        {"image_load", "make images of an archive that some engine saved"},
        {"image_prune", "remove the images that nobody uses"},
        {"image_pin", "keep an image from being collected"},
        {"image_pull", "fetch an image from a registry, or import one from an archive"},
        {"image_push", "send an image to a registry"},
        {"image_remove", "remove an image's names, and the image with its last"},
        {"image_save", "pack images into an archive"},
        {"image_search", "look for images in a registry"},
        {"image_tag", "give an image another name"},
        {"image_unpin", "let an image be collected again"},
        {"info", "tell what the host and the daemon are"},
        {"job_cancel", "ask a job to stop"},
        {"jobs_list", "tell which jobs run and ran"},
        {"loop_stats", "tell how long the loop was busy at a time"},
        {"network_connect", "put a container into a network"},
        {"network_create", "make a network"},
        {"network_disconnect", "take a container out of a network"},
        {"network_inspect", "tell everything of a network"},
        {"network_list", "tell which networks there are"},
        {"network_prune", "remove the networks that nobody uses"},
        {"network_remove", "remove a network"},
        {"not_a_swarm", "refuse what needs a swarm"},
        {"ping", "answer"},
        {"plugins_list", "tell that there are no plugins"},
        {"registry_login", "ask a registry whether it takes a user's credentials"},
        {"system_df", "tell how much of the disk is used"},
        {"version", "tell what the daemon is"},
    });
    return table;
}

}  // namespace davit
