#include "graph/layer_extract.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <map>
#include <optional>
#include <string_view>
#include <tuple>
#include <utility>

#include "graph/layer_extract_files.h"
#include "graph/layer_extract_tree.h"
#include "graph/tar_path.h"
#include "graph/tar_reader.h"
#include "graph/whiteout.h"

namespace davit {

namespace {

/// mknod(2) takes 12 bits of major and 20 of minor.
constexpr std::uint32_t dev_major_max = 0xfff;
constexpr std::uint32_t dev_minor_max = 0xfffff;
constexpr std::size_t links_below_max = 65536;
constexpr std::string_view no_target = "no such file in this layer";

ExtractMeta meta_of(const TarEntry& entry) {
    return {entry.mode, entry.uid, entry.gid, entry.mtime, entry.xattrs};
}

mode_t node_type(TarType type) {
    return type == TarType::fifo ? S_IFIFO : type == TarType::char_device ? S_IFCHR : S_IFBLK;
}

/// Where an entry goes.
struct Place {
    ExtractDirRef dir;
    std::string name;
    std::string path;
};

}  // namespace

struct LayerExtract::State {
    State(ExtractTree opened, LayerExtractOptions wanted)
        : options(std::move(wanted)),
          reader(options.entries_max),
          tree(std::move(opened)),
          files(tree, options.helpers.value_or(extract_helpers())) {}

    LayerExtractOptions options;
    TarReader reader;
    ExtractTree tree;
    ExtractFiles files;
    LayerExtractResult result;
    bool file_open = false;  ///< The entry's data goes to a file; else nowhere.
    std::unique_ptr<LayerRecipeWriter> recipe;
    bool file_recorded = false;  ///< The recipe refers to the file for the entry's data.
    std::map<std::string, std::string> links_below;  ///< Target by path.
    std::optional<Error> failed;

    Result<void> feed(std::span<const std::uint8_t> bytes, const std::function<void()>& beside);
    Result<void> events_apply(std::span<const std::uint8_t> bytes);
    Result<void> event_record(std::span<const std::uint8_t> used, const TarEvent& event);
    Result<void> event_apply(const TarEvent& event);
    Result<void> entry_apply(const TarEntry& entry);
    Result<std::string> name_clean(const std::string& name) const;
    Result<void> entry_place(const TarEntry& entry, const std::string& path);
    Result<void> kind_check(const TarEntry& entry, const Place& place) const;
    Result<bool> whiteout_apply(const std::string& path);
    Result<void> removal_make(const std::string& target);
    Result<Place> place_find(const std::string& path);
    Result<void> directory_apply(const TarEntry& entry, const std::string& path);
    Result<void> file_begin(const TarEntry& entry, Place place);
    Result<void> hardlink_make(const TarEntry& entry, const Place& place);
    Result<void> link_below_note(const Place& place, const std::string& target);
    Result<void> symlink_make(const TarEntry& entry, const Place& place);
    Result<void> node_make(const TarEntry& entry, const Place& place);
    Result<void> node_attributes_set(const TarEntry& entry, const Place& place);
    Error fail(Error error);

    template <typename Make>
    Result<void> make(const char* what, const Place& place, Make&& call);
};

/// What is made by one call that says EEXIST: whatever stands there has to go.
template <typename Make>
Result<void> LayerExtract::State::make(const char* what, const Place& place, Make&& call) {
    if (call() == 0) {
        return ok;
    }
    if (errno != EEXIST) {
        return Error::from_errno(errno, what, place.path);
    }
    TRY_VOID(tree.make_room(*place.dir, place.name, place.path));
    if (call() == 0) {
        return ok;
    }
    return Error::from_errno(errno, what, place.path);
}

Result<Place> LayerExtract::State::place_find(const std::string& path) {
    if (path.empty()) {
        return Error(ErrorKind::corrupt, "the root of a layer can only be a directory");
    }
    Place place;
    TRY(place.dir, tree.dir_make(std::string(tar_path_parent(path))));
    place.name = tar_path_name(path);
    place.path = path;
    return place;
}

/// `.wh.NAME`. What this layer itself has at NAME stays: whiteouts speak of the layers below.
Result<void> LayerExtract::State::removal_make(const std::string& target) {
    TRY(const Place place, place_find(target));
    if (links_below.contains(extract_path(*place.dir, place.name))) {
        return ok;
    }
    const int dir = place.dir->fd.get();
    if (::mknodat(dir, place.name.c_str(), S_IFCHR, ::makedev(0, 0)) == 0) {
        return ok;
    }
    if (errno != EEXIST) {
        return Error::from_errno(errno, "mknod", target);
    }

    struct stat info {};

    if (::fstatat(dir, place.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISDIR(info.st_mode)) {
        return tree.opaque_set(target);
    }
    return ok;
}

/// Whether the name was one, or is to be ignored.
Result<bool> LayerExtract::State::whiteout_apply(const std::string& path) {
    if (options.whiteouts == WhiteoutForm::literal) {
        return false;
    }
    TRY(const Whiteout whiteout, whiteout_parse(path));
    switch (whiteout.kind) {
        case WhiteoutKind::none:
            return false;
        case WhiteoutKind::ignored:
            return true;
        case WhiteoutKind::remove:
            TRY_VOID(removal_make(whiteout.target));
            break;
        case WhiteoutKind::opaque:
            TRY_VOID(tree.opaque_set(whiteout.target));
            break;
    }
    ++result.whiteouts;
    return true;
}

Result<std::string> LayerExtract::State::name_clean(const std::string& name) const {
    if (!options.into || options.into->first_name.empty()) {
        return tar_path_clean(name);
    }
    const std::size_t end = std::min(name.find('/'), name.size());
    return tar_path_clean(options.into->first_name + name.substr(end));
}

Result<void> LayerExtract::State::entry_apply(const TarEntry& entry) {
    file_open = false;
    TRY(const std::string path, name_clean(entry.path));
    TRY(const bool whiteout, whiteout_apply(path));
    ++result.entries;
    if (result.entries + tree.parents_made() > options.entries_max) {
        return Error(ErrorKind::resource_exhausted, "too many entries");
    }
    if (whiteout) {
        return ok;
    }
    if (options.into && (options.into->owner || !options.into->ids.is_identity())) {
        TarEntry owned = entry;
        if (options.into->owner) {
            std::tie(owned.uid, owned.gid) = *options.into->owner;
        }
        const auto uid = options.into->ids.uid_outside(owned.uid);
        const auto gid = options.into->ids.gid_outside(owned.gid);
        if (!uid || !gid) {
            return Error(ErrorKind::corrupt,
                         path + ": its owner " + std::to_string(owned.uid) + ":" +
                             std::to_string(owned.gid) + " cannot be mapped to a host ID");
        }
        owned.uid = *uid;
        owned.gid = *gid;
        return entry_place(owned, path);
    }
    return entry_place(entry, path);
}

/// Follows: moby pkg/archive Unpack(), in whose words it complains.
Result<void> LayerExtract::State::kind_check(const TarEntry& entry, const Place& place) const {
    struct stat info {};

    if (!options.into || !options.into->directories_stay ||
        ::fstatat(place.dir->fd.get(), place.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
        return ok;
    }
    const bool is_directory = S_ISDIR(info.st_mode);
    if (is_directory == (entry.type == TarType::directory)) {
        return ok;
    }
    const std::string& top = options.into->path;
    const std::string whole = (top == "/" ? "" : top) + "/" + place.path;
    const std::string_view there = is_directory ? "directory" : "non-directory";
    const std::string_view comes = is_directory ? "non-directory" : "directory";
    return Error(ErrorKind::internal,
                 std::string("cannot overwrite ")
                     .append(there)
                     .append(" \"" + whole + "\" with ")
                     .append(comes)
                     .append(" \"" + top + "\""));
}

Result<void> LayerExtract::State::entry_place(const TarEntry& entry, const std::string& path) {
    if (!links_below.empty() && !path.empty()) {
        TRY(const Place place, place_find(path));
        links_below.erase(extract_path(*place.dir, place.name));
    }
    if (entry.type == TarType::directory) {
        return directory_apply(entry, path);
    }
    TRY(Place place, place_find(path));
    TRY_VOID(kind_check(entry, place));
    switch (entry.type) {
        case TarType::file:
            return file_begin(entry, std::move(place));
        case TarType::hardlink:
            return hardlink_make(entry, place);
        case TarType::symlink:
            return symlink_make(entry, place);
        case TarType::char_device:
        case TarType::block_device:
        case TarType::fifo:
            return node_make(entry, place);
        case TarType::directory:
            break;
    }
    return ok;
}

Result<void> LayerExtract::State::directory_apply(const TarEntry& entry, const std::string& path) {
    if (path.empty() && options.into) {
        return ok;
    }
    if (!path.empty()) {
        TRY(const Place place, place_find(path));
        TRY_VOID(kind_check(entry, place));
    }
    return tree.directory(path, meta_of(entry));
}

Result<void> LayerExtract::State::file_begin(const TarEntry& entry, Place place) {
    ExtractFile file;
    file.dir = std::move(place.dir);
    file.name = std::move(place.name);
    file.path = std::move(place.path);
    file.meta = meta_of(entry);
    file.size = entry.size;
    file.sparse = entry.sparse;
    const std::string real = recipe ? extract_path(*file.dir, file.name) : std::string();
    TRY_VOID(files.begin(std::move(file)));
    file_open = true;
    file_recorded = layer_recipe_names(real);
    if (file_recorded) {
        recipe->file_begin(real);
    }
    return ok;
}

/// The target is named from the layer's root, whatever directory the link is in.
Result<void> LayerExtract::State::hardlink_make(const TarEntry& entry, const Place& place) {
    TRY(const std::string target, name_clean(entry.linkpath));
    const std::string name(tar_path_name(target));
    const auto refused = [&](std::string_view why) {
        return Error(ErrorKind::corrupt,
                     std::string("hard link to ").append(entry.linkpath).append(": ").append(why));
    };
    if (name.empty()) {
        return refused("it is a directory");
    }
    const bool below = options.whiteouts == WhiteoutForm::overlay;
    auto dir = tree.dir_find(std::string(tar_path_parent(target)));
    if (!dir) {
        return below ? link_below_note(place, target) : refused(no_target);
    }
    if ((*dir)->inode == place.dir->inode && name == place.name) {
        return refused("it is the link itself");
    }

    struct stat info {};

    if (::fstatat((*dir)->fd.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno != ENOENT) {
            return Error::from_errno(errno, "fstatat", entry.linkpath);
        }
        return below ? link_below_note(place, extract_path(**dir, name)) : refused(no_target);
    }
    if (S_ISDIR(info.st_mode)) {
        return refused("it is a directory");
    }
    if (below && is_whiteout(info)) {
        return refused("this layer removes it");
    }
    TRY_VOID(make("link", place, [&] {
        return ::linkat((*dir)->fd.get(), name.c_str(), place.dir->fd.get(), place.name.c_str(), 0);
    }));
    if (recipe && !S_ISLNK(info.st_mode)) {
        recipe->link_made(extract_path(*place.dir, place.name));
    }
    return ok;
}

/// Whether it is in a layer below is not to be known here: the link is made when that is.
Result<void> LayerExtract::State::link_below_note(const Place& place, const std::string& target) {
    if (links_below.size() == links_below_max) {
        return Error(ErrorKind::resource_exhausted, "too many hard links to layers below");
    }
    const auto linked = links_below.find(target);
    TRY_VOID(tree.make_room(*place.dir, place.name, place.path));
    links_below.insert_or_assign(extract_path(*place.dir, place.name),
                                 linked == links_below.end() ? target : linked->second);
    return ok;
}

Result<void> LayerExtract::State::symlink_make(const TarEntry& entry, const Place& place) {
    if (entry.linkpath.empty()) {
        return Error(ErrorKind::corrupt, "symbolic link without a target");
    }
    TRY_VOID(make("symlink", place, [&] {
        return ::symlinkat(entry.linkpath.c_str(), place.dir->fd.get(), place.name.c_str());
    }));
    const int dir = place.dir->fd.get();
    const char* name = place.name.c_str();
    if (tree.chown_needed(*place.dir, entry.uid, entry.gid) &&
        ::fchownat(dir, name, entry.uid, entry.gid, AT_SYMLINK_NOFOLLOW) != 0) {
        return Error::from_errno(errno, "fchownat", place.path);
    }
    tree.xattrs_dropped_add(entry.xattrs.size());
    const ExtractTimes times(entry.mtime);
    if (::utimensat(dir, name, times.values, AT_SYMLINK_NOFOLLOW) != 0) {
        return Error::from_errno(errno, "utimensat", place.path);
    }
    return ok;
}

Result<void> LayerExtract::State::node_make(const TarEntry& entry, const Place& place) {
    if (entry.dev_major > dev_major_max || entry.dev_minor > dev_minor_max) {
        return Error(ErrorKind::corrupt, "device number out of range");
    }
    const mode_t mode = node_type(entry.type) | (entry.mode & 0777);
    const dev_t device =
        entry.type == TarType::fifo ? dev_t{0} : ::makedev(entry.dev_major, entry.dev_minor);
    TRY_VOID(make("mknod", place, [&] {
        return ::mknodat(place.dir->fd.get(), place.name.c_str(), mode, device);
    }));
    return node_attributes_set(entry, place);
}

/// By a descriptor that does nothing: opening a node may have effects, and chmod(2) of a name would
/// follow a link that somebody else in the tree has put in its place. Xattrs on such files are of
/// no use.
Result<void> LayerExtract::State::node_attributes_set(const TarEntry& entry, const Place& place) {
    constexpr int flags = O_PATH | O_NOFOLLOW;
    TRY(const Fd node, Fd::openat(place.dir->fd.get(), place.name, flags));

    struct stat info {};

    if (::fstat(node.get(), &info) != 0) {
        return Error::from_errno(errno, "fstat", place.path);
    }
    if ((info.st_mode & S_IFMT) != node_type(entry.type)) {
        return Error::from_errno(ESTALE, "mknod", place.path);
    }
    const bool chown = tree.chown_needed(*place.dir, entry.uid, entry.gid);
    if (chown && ::fchownat(node.get(), "", entry.uid, entry.gid, AT_EMPTY_PATH) != 0) {
        return Error::from_errno(errno, "fchownat", place.path);
    }
    const std::string link = "/proc/self/fd/" + std::to_string(node.get());
    if ((chown || tree.chmod_needed(entry.mode) || (entry.mode & ~0777U) != 0) &&
        ::chmod(link.c_str(), entry.mode) != 0) {
        return Error::from_errno(errno, "chmod", place.path);
    }
    tree.xattrs_dropped_add(entry.xattrs.size());
    const ExtractTimes times(entry.mtime);
    if (::utimensat(AT_FDCWD, link.c_str(), times.values, 0) != 0) {
        return Error::from_errno(errno, "utimensat", place.path);
    }
    return ok;
}

Result<void> LayerExtract::State::event_apply(const TarEvent& event) {
    switch (event.kind) {
        case TarEvent::Kind::entry:
            return entry_apply(reader.entry());
        case TarEvent::Kind::data:
            if (!file_open) {
                return ok;
            }
            result.bytes += event.data.size();
            if (result.bytes > options.bytes_max) {
                return Error(ErrorKind::resource_exhausted, "the layer is too large");
            }
            return files.data(event.offset, event.data);
        case TarEvent::Kind::entry_end:
            return std::exchange(file_open, false) ? files.end() : Result<void>(ok);
        case TarEvent::Kind::need_input:
        case TarEvent::Kind::archive_end:
            break;
    }
    return ok;
}

/// used: the bytes that the event took, its data last.
Result<void> LayerExtract::State::event_record(std::span<const std::uint8_t> used,
                                               const TarEvent& event) {
    const bool data = event.kind == TarEvent::Kind::data && file_open && file_recorded;
    const std::size_t payload = data ? event.data.size() : 0;
    if (used.size() != payload) {
        TRY_VOID(recipe->raw(used.first(used.size() - payload)));
    }
    return data ? recipe->file_data(event.offset, payload) : Result<void>(ok);
}

Error LayerExtract::State::fail(Error error) {
    failed = error;
    return error;
}

Result<void> LayerExtract::State::events_apply(std::span<const std::uint8_t> bytes) {
    for (;;) {
        const auto before = bytes;
        TRY(const TarEvent event, reader.next(bytes));
        if (recipe) {
            TRY_VOID(event_record(before.first(before.size() - bytes.size()), event));
        }
        if (event.kind == TarEvent::Kind::need_input) {
            return ok;
        }
        if (auto applied = event_apply(event); !applied) {
            return std::move(applied).error().context(
                "extract", std::string_view(reader.entry().path).substr(0, shown_bytes_max));
        }
    }
}

Result<void> LayerExtract::State::feed(std::span<const std::uint8_t> bytes,
                                       const std::function<void()>& beside) {
    if (beside) {
        files.beside(beside);
    }
    auto applied = failed ? Result<void>(Error(*failed)) : events_apply(bytes);
    // The bytes are the caller's again. A file that failed comes before what failed here.
    if (auto settled = files.settle(); !settled) {
        return fail(std::move(settled).error());
    }
    return applied ? applied : fail(std::move(applied).error());
}

LayerExtract::LayerExtract(std::unique_ptr<State> state) : state_(std::move(state)) {}

LayerExtract::LayerExtract(LayerExtract&&) noexcept = default;
LayerExtract& LayerExtract::operator=(LayerExtract&&) noexcept = default;
LayerExtract::~LayerExtract() = default;

Result<LayerExtract> LayerExtract::open(Fd root, LayerExtractOptions options) {
    assert(!options.into || options.whiteouts == WhiteoutForm::literal);
    TRY(ExtractTree tree, ExtractTree::open(std::move(root), options.into.get()));
    return LayerExtract(std::make_unique<State>(std::move(tree), std::move(options)));
}

void LayerExtract::record(std::unique_ptr<LayerRecipeWriter> recipe) {
    state_->recipe = std::move(recipe);
    state_->tree.replaced_with([state = state_.get()](int dir,
                                                      const std::string& name,
                                                      const std::string& path) -> Result<void> {
        TRY_VOID(state->files.settle());  // It reads the file.
        return state->recipe->replaced(dir, name, path);
    });
}

Result<void> LayerExtract::feed(std::span<const std::uint8_t> bytes,
                                const std::function<void()>& beside) {
    return state_->feed(bytes, beside);
}

Result<LayerExtractResult> LayerExtract::finish() {
    State& state = *state_;
    if (state.failed) {
        return Error(*state.failed);
    }
    if (auto whole = state.reader.finish(); !whole) {
        return state.fail(std::move(whole).error());
    }
    if (auto finished = state.tree.finish(); !finished) {
        return state.fail(std::move(finished).error().context("extract"));
    }
    if (state.recipe) {
        if (auto recorded = state.recipe->finish(); !recorded) {
            return state.fail(std::move(recorded).error().context("record the layer"));
        }
    }
    state.result.entries += state.tree.parents_made();
    state.result.xattrs_dropped = state.tree.xattrs_dropped();
    for (const auto& [path, target] : state.links_below) {
        state.result.links_below.push_back({path, target});
    }
    return state.result;
}

unsigned LayerExtract::helpers_started() const {
    return state_->files.helpers_started();
}

}  // namespace davit
