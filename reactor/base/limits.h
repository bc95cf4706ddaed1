#pragma once
/// Every bound in one place, with its reason. Reaching one is an error that the caller sees.
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace davit::limits {

// --- HTTP ---------------------------------------------------------------------------------------
/// Request line + headers. X-Registry-Auth of a big identity token is ~8 KiB; Docker allows 1 MiB.
inline constexpr std::size_t http_header_bytes_max = 256 * 1024;
/// What frames a chunked body (sizes, extensions, trailers) beyond what its data explains.
inline constexpr std::size_t http_framing_bytes_max = 64 * 1024;
/// Interim (1xx) heads before an answer; real servers send one or two.
inline constexpr int http_interim_heads_max = 64;
/// A JSON body is held in memory whole; a create request with thousands of mounts is well below.
inline constexpr std::size_t http_json_body_bytes_max = 8 * 1024 * 1024;
/// Open connections; beyond, accepting pauses until one closes.
inline constexpr std::size_t http_connections_max = 8192;
/// An idle keep-alive connection is closed after this.
inline constexpr int http_idle_seconds = 300;
/// From a request's first byte to the end of its headers: against clients that trickle.
inline constexpr int http_header_seconds = 30;
/// What a handler left unread of a request body is skipped up to this; beyond, the connection
/// closes.
inline constexpr std::size_t http_skip_bytes_max = 256 * 1024;
/// One read from a stream: the pipe's and socket's usual capacity.
inline constexpr std::size_t stream_read_bytes = 64 * 1024;

// --- JSON ---------------------------------------------------------------------------------------
inline constexpr std::size_t json_depth_max = 64;

// --- Images -------------------------------------------------------------------------------------
/// Docker's own bound on layers is 127; overlay takes 500.
inline constexpr std::size_t image_layers_max = 500;
/// OCI distribution-spec: manifests of 4 MiB should be accepted.
inline constexpr std::size_t manifest_bytes_max = 4 * 1024 * 1024;
/// Entries of one index; real ones have a dozen platforms, each with an attestation.
inline constexpr std::size_t index_manifests_max = 1024;
inline constexpr std::size_t image_config_bytes_max = 8 * 1024 * 1024;
/// PATH_MAX.
inline constexpr std::size_t tar_path_bytes_max = 4096;
/// One PAX header; xattrs live there, and one xattr may be 64 KiB.
inline constexpr std::size_t tar_pax_bytes_max = 1024 * 1024;
/// Extended attributes of one entry; real files have one or two.
inline constexpr std::size_t tar_xattrs_max = 256;
/// Data regions of one sparse file: 4 MiB of map. GNU tar itself writes one per hole.
inline constexpr std::size_t tar_sparse_regions_max = 256 * 1024;
/// Entries in one layer: against bombs; the largest images known have under two million files.
inline constexpr std::uint64_t layer_entries_max = 10'000'000;
/// What directories still wait for at the end of a layer (names, times, attributes): bounded so
/// that a layer of nothing but directories cannot eat the daemon. About a million directories.
inline constexpr std::size_t layer_deferred_bytes_max = 256 * 1024 * 1024;
/// Parent directories kept open while a layer is extracted; archives go depth first.
inline constexpr std::size_t extract_parents_open_max = 64;
/// Small files on their way to the disk at once: enough for the kernel's workers to share out.
inline constexpr unsigned extract_files_in_flight_max = 256;
/// A file up to this size is one chain of open, write, close with its data copied aside; with the
/// line above it bounds the copies to 8 MiB per layer.
inline constexpr std::size_t extract_small_file_bytes_max = 32 * 1024;
/// Directories and links whose names are remembered, so that no file in flight takes their place;
/// a layer with more is extracted without chains. 48 MiB.
inline constexpr std::size_t extract_special_names_max = 1'000'000;
/// Larger files are written in pieces of this size, this many at a time.
inline constexpr std::size_t extract_chunk_bytes = 256 * 1024;
inline constexpr unsigned extract_chunks_in_flight_max = 4;
/// One layer, uncompressed: beyond any real image, below what would fill most disks unseen.
inline constexpr std::uint64_t layer_bytes_max = 1024ULL * 1024 * 1024 * 1024;
/// The window a zstd frame may ask for, as a power of two: what `zstd --ultra -22` writes.
inline constexpr int zstd_window_log_max = 27;
/// What decoding one .xz stream may take: a dictionary as large as that window, and the decoder.
/// `xz -9` writes what takes 65 MiB.
inline constexpr std::uint64_t xz_memory_bytes_max = 130 * 1024 * 1024;
/// Docker's default for parallel layer downloads, engine-wide.
inline constexpr std::size_t downloads_parallel_max = 3;
/// From this size on a blob comes in several transfers at a time: where one connection is slow,
/// whether by its window or by what an object store gives one client, several are faster.
inline constexpr std::uint64_t blob_ranges_bytes_min = 32 * 1024 * 1024;
/// What one of them fetches at a time, and how many there are: 8 MiB of memory for a layer, so that
/// three downloads take no more than all other buffers of a pull.
inline constexpr std::size_t blob_piece_bytes = 2 * 1024 * 1024;
inline constexpr std::size_t blob_pieces_max = 4;
/// Layers of pulls that are in memory at a time: being unpacked, with or without still being
/// downloaded. With one more than the line above, the next download begins while a layer is
/// unpacked. 13 MiB, or with the largest zstd windows 525 MiB.
inline constexpr std::size_t layers_unpacking_max = 4;
/// Token answers, error documents and the bodies of redirects: real ones are a few KiB.
inline constexpr std::size_t registry_small_body_bytes_max = 256 * 1024;
/// From a registry to an object store takes one or two; browsers stop at 20.
inline constexpr int registry_redirects_max = 8;
/// Documents looked at to find the image for one platform: index, manifest, and some nesting.
inline constexpr std::size_t pull_manifests_max = 16;
/// Compressed bytes of one layer handed to a worker at a time: large enough that the hand-over
/// costs nothing, small enough that network and unpacking overlap on small layers.
inline constexpr std::size_t layer_chunk_bytes = 256 * 1024;
/// Uncompressed bytes handed from inflate to the extractor at a time, by the same reasoning. Eight
/// buffers, four of each kind, are all that a layer on its way in takes.
inline constexpr std::size_t layer_inflate_bytes = 512 * 1024;

// --- Graph --------------------------------------------------------------------------------------
/// Address space of a database at first; it doubles when it is full. Costs no memory and no disk.
inline constexpr std::size_t graph_map_bytes = std::size_t{64} * 1024 * 1024;
/// Thousands of images come to megabytes; what wants more than this is a runaway.
inline constexpr std::size_t graph_map_bytes_max = std::size_t{64} * 1024 * 1024 * 1024;
/// Edges from an entity down to the last one: a classic build adds an image per instruction.
inline constexpr std::size_t graph_depth_max = 1024;
/// Updates that one commit may carry; those beyond wait for the next.
inline constexpr std::size_t graph_batch_updates_max = 256;

// --- Reactor ------------------------------------------------------------------------------------
/// Threads behind offload(): as many as libuv has.
inline constexpr std::size_t brief_threads = 4;
/// Threads behind offload_bulk(): eight brought a pull nothing more.
inline constexpr std::size_t bulk_threads = 4;
/// How much nicer they are: of two that want one processor the loop gets three quarters of it.
inline constexpr int bulk_thread_nice = 5;
/// Entries of the io_uring submission queue; enough for one batch of files in flight.
inline constexpr unsigned ring_entries = 512;
/// How long one step on the loop may take; whoever has more to do yields (reactor/timer.h).
inline constexpr auto loop_step_max = std::chrono::milliseconds(1);
/// Coroutines resumed in one loop turn before the loop looks at its descriptors again.
inline constexpr std::size_t resumes_per_turn_max = 1024;

// --- Containers ---------------------------------------------------------------------------------
/// Finished jobs that `davit jobs` still shows.
inline constexpr std::size_t jobs_finished_kept_max = 100;
/// Events kept for `since` readers; Docker keeps 256 and loses the rest.
inline constexpr std::size_t events_kept_max = 65536;
/// And their size, attributes included: labels may be long, and an idle daemon is small.
inline constexpr std::size_t events_kept_bytes_max = 4 * 1024 * 1024;
/// A regular expression in a list's filter; it is compiled on the loop.
inline constexpr std::size_t filter_expression_bytes_max = 256;
/// One json-file log record's payload; longer lines are split and rejoined by readers (as Docker).
inline constexpr std::size_t log_line_bytes_max = 16 * 1024;
/// Bytes that one attached reader may lag behind before it is paused or dropped.
inline constexpr std::size_t attach_backlog_bytes_max = 1024 * 1024;
/// How long a client of attach may take to close its side once the stream has ended.
inline constexpr auto attach_close_max = std::chrono::seconds(5);
/// One read of a container's output.
inline constexpr std::size_t output_read_bytes = 32 * 1024;
/// One read of an attached client's input.
inline constexpr std::size_t attach_input_bytes = 16 * 1024;

/// Execs that were created and have not ended: far more than a host can run.
inline constexpr std::size_t execs_max = 65536;
/// How long an exec that has ended can be asked for its exit code; Docker's 5 to 10 minutes.
inline constexpr auto exec_ended_kept = std::chrono::minutes(5);
/// And how many of them, and their size: a health check's are asked for at once.
inline constexpr std::size_t execs_ended_kept_max = 4096;
inline constexpr std::size_t execs_ended_bytes_max = 4 * 1024 * 1024;
/// How long others may go on writing to an exec's output when it has ended, as Docker's 2 s; and
/// how much is still taken then: what a pipe holds.
inline constexpr auto exec_output_grace = std::chrono::seconds(2);
inline constexpr std::size_t exec_late_output_bytes_max = 64 * 1024;
/// How long a resize waits for an exec to start, as Docker.
inline constexpr auto exec_resize_wait = std::chrono::seconds(10);

// --- Command line -------------------------------------------------------------------------------
/// Containers that one `davit stop A B C ...` works on at a time; each takes a connection.
inline constexpr std::size_t cli_parallel_max = 32;

}  // namespace davit::limits
