#pragma once
/// The certificates that users give for one server: /etc/docker/certs.d/HOST[:PORT]/.
#include <string>
#include <vector>

#include "http/tls.h"

namespace davit {

struct HostCertificates {
    /// *.crt: trusted besides the system's.
    std::vector<PemFile> authorities;
    /// *.cert with the *.key of the same name.
    std::vector<PemPair> clients;

    bool operator==(const HostCertificates&) const = default;
};

/// Read a directory's files, in the order of their names, after what is there already. Blocks. One
/// that is not there has none. Follows: Docker's "Verify repository client with certificates".
/// Errors: invalid_argument, naming the file (one that cannot be read, half of a pair) or the
/// directory (cannot be read).
Result<void> host_certificates_read(const std::string& directory, HostCertificates& certificates);

}  // namespace davit
