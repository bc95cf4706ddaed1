#include "graph/tag_store.h"

#include <algorithm>
#include <map>

#include "graph/record.h"

namespace davit {

namespace {

constexpr std::uint8_t names_version = 1;

/// The form under which a reference is stored.
Reference stored_form(const Reference& reference) {
    return reference.has_digest() ? reference.with_digest(reference.digest())
                                  : reference.with_default_tag();
}

Result<std::vector<std::string>> names_of(const ReadTxn& txn, const Digest& image) {
    TRY(const std::optional<std::string_view> bytes, txn.get(Table::image_references, image.str()));
    if (!bytes) {
        return std::vector<std::string>{};
    }
    const std::string what = "names of image " + image.str();
    RecordReader reader(*bytes, what, names_version);
    std::vector<std::string> names = reader.texts();
    TRY_VOID(reader.finish());
    return names;
}

Result<void> set_names(WriteTxn& txn, const Digest& image, std::vector<std::string> names) {
    if (names.empty()) {
        TRY_VOID(txn.erase(Table::image_references, image.str()));
        return ok;
    }
    std::ranges::sort(names);
    return txn.put(
        Table::image_references, image.str(), RecordWriter(names_version).texts(names).take());
}

Result<void> remove_name(WriteTxn& txn, const Digest& image, const std::string& name) {
    TRY(std::vector<std::string> names, names_of(txn, image));
    std::erase(names, name);
    return set_names(txn, image, std::move(names));
}

}  // namespace

Result<std::optional<Digest>> reference_get(const ReadTxn& txn, const Reference& reference) {
    TRY(const std::optional<std::string_view> image,
        txn.get(Table::references, stored_form(reference).str()));
    if (!image) {
        return std::optional<Digest>{};
    }
    TRY(Digest id, Digest::parse(*image));
    return std::optional<Digest>(std::move(id));
}

Result<std::optional<Digest>> reference_set(WriteTxn& txn,
                                            const Reference& reference,
                                            const Digest& image) {
    TRY(const bool exists, txn.contains(Table::images, image.str()));
    if (!exists) {
        return Error(ErrorKind::not_found, "No such image: " + image.str());
    }
    const std::string name = stored_form(reference).str();
    TRY(std::optional<Digest> before, reference_get(txn, reference));
    if (before == image) {
        return before;
    }
    if (before) {
        if (reference.has_digest()) {
            return Error(ErrorKind::conflict,
                         "Cannot overwrite digest " + reference.digest().str());
        }
        TRY_VOID(remove_name(txn, *before, name));
    }
    TRY(std::vector<std::string> names, names_of(txn, image));
    names.push_back(name);
    TRY_VOID(set_names(txn, image, std::move(names)));
    TRY_VOID(txn.put(Table::references, name, image.str()));
    return before;
}

Result<std::optional<Digest>> reference_remove(WriteTxn& txn, const Reference& reference) {
    TRY(std::optional<Digest> image, reference_get(txn, reference));
    if (image) {
        const std::string name = stored_form(reference).str();
        TRY_VOID(txn.erase(Table::references, name));
        TRY_VOID(remove_name(txn, *image, name));
    }
    return image;
}

Result<std::vector<Reference>> image_references(const ReadTxn& txn, const Digest& image) {
    TRY(const std::vector<std::string> names, names_of(txn, image));
    std::vector<Reference> references;
    for (const std::string& name : names) {
        TRY(Reference reference, Reference::parse(name));
        references.push_back(std::move(reference));
    }
    return references;
}

Result<std::vector<std::pair<Reference, Digest>>> reference_list(const ReadTxn& txn) {
    std::vector<std::pair<Reference, Digest>> out;
    TRY_VOID(txn.scan(
        Table::references, {}, [&](std::string_view name, std::string_view id) -> Result<bool> {
            TRY(Reference reference, Reference::parse(name));
            TRY(Digest image, Digest::parse(id));
            out.emplace_back(std::move(reference), std::move(image));
            return true;
        }));
    return out;
}

Result<std::vector<std::string>> references_repair(WriteTxn& txn) {
    std::vector<std::string> done;
    std::vector<std::string> nameless;
    std::map<std::string, std::vector<std::string>> names;  // By image.
    const auto check = [&](std::string_view name, std::string_view id) -> Result<bool> {
        TRY(const bool exists, txn.contains(Table::images, id));
        if (exists) {
            names[std::string(id)].emplace_back(name);
        } else {
            nameless.emplace_back(name);
        }
        return true;
    };
    TRY_VOID(txn.scan(Table::references, {}, check));
    for (const std::string& name : nameless) {
        TRY_VOID(txn.erase(Table::references, name));
        done.push_back("removed the name " + name + ", whose image is not there");
    }
    std::vector<std::string> listed;
    const auto collect = [&](std::string_view id, auto) -> Result<bool> {
        listed.emplace_back(id);
        return true;
    };
    TRY_VOID(txn.scan(Table::image_references, {}, collect));
    for (const std::string& id : listed) {
        names.try_emplace(id);
    }
    for (auto& [id, right] : names) {
        TRY(const Digest image, Digest::parse(id));
        const Result<std::vector<std::string>> stored = names_of(txn, image);
        std::ranges::sort(right);
        if (!stored || *stored != right) {
            TRY_VOID(set_names(txn, image, right));
            done.push_back("made the list of names of image " + id + " again");
        }
    }
    return done;
}

}  // namespace davit
