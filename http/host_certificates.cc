#include "http/host_certificates.h"

#include <dirent.h>

#include <cerrno>
#include <memory>
#include <set>

#include "reactor/base/fd.h"

namespace davit {

namespace {

/// Whatever failed, it is what users set up that is wrong: not what they asked for.
Error unusable(Error error) {
    return std::move(error).with_kind(ErrorKind::invalid_argument).context("certificates");
}

Result<std::set<std::string>> names_read(const std::string& directory) {
    std::set<std::string> names;
    const std::unique_ptr<DIR, int (*)(DIR*)> entries(::opendir(directory.c_str()), ::closedir);
    if (!entries) {
        if (errno == ENOENT) {
            return names;  // The usual case: nothing is set up for this server.
        }
        return unusable(Error::from_errno(errno, "opendir", directory));
    }
    while (const dirent* entry = ::readdir(entries.get())) {
        names.insert(entry->d_name);
    }
    return names;
}

Result<PemFile> pem_read(std::string path) {
    Result<std::string> text = file_read(path);
    if (!text) {
        return unusable(std::move(text).error());
    }
    return PemFile{std::move(path), *std::move(text)};
}

Error half_missing(std::string message) {
    message += ". CA certificates must use the extension .crt";
    return Error(ErrorKind::invalid_argument, std::move(message));
}

}  // namespace

Result<void> host_certificates_read(const std::string& directory, HostCertificates& certificates) {
    TRY(const std::set<std::string> names, names_read(directory));
    const std::string base = directory + "/";
    for (const std::string& name : names) {
        const std::string stem = name.substr(0, name.rfind('.') + 1);
        if (name.ends_with(".crt")) {
            TRY(PemFile file, pem_read(base + name));
            certificates.authorities.push_back(std::move(file));
        } else if (name.ends_with(".cert")) {
            if (!names.contains(stem + "key")) {
                return half_missing("missing key " + base + stem + "key for client certificate " +
                                    base + name);
            }
            PemPair pair;
            TRY(pair.certificate, pem_read(base + name));
            TRY(pair.key, pem_read(base + stem + "key"));
            certificates.clients.push_back(std::move(pair));
        } else if (name.ends_with(".key") && !names.contains(stem + "cert")) {
            return half_missing("missing client certificate " + base + stem + "cert for key " +
                                base + name);
        }
    }
    return ok;
}

}  // namespace davit
