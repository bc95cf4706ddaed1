#pragma once
/// What a registry's refusal becomes for the user, in Docker's words.
#include <string>
#include <string_view>

#include "http/message.h"
#include "reactor/base/result.h"

namespace davit {

/// What was asked for, as people see it.
struct RegistrySubject {
    std::string familiar_name;  ///< "alpine", "localhost:5000/app"
    std::string familiar;       ///< "alpine:3.20"
    /// Something was to be stored there: a refusal is shown in the registry's own words.
    bool pushing = false;
};

/// Turn a response of 400 and above into an Error.
///
/// The body's {"errors":[{code,message,detail}]} is shown as it is; a body of another form gives
/// the status. Follows: OCI distribution-spec "Error Codes"; API.md 2.2. Gives: not_found (DENIED,
/// MANIFEST_UNKNOWN, NAME_UNKNOWN, BLOB_UNKNOWN), unauthorized,
///        permission_denied, resource_exhausted (429), unavailable (5xx), else internal.
Error registry_error(const ResponseHead& head,
                     std::string_view body,
                     const RegistrySubject& subject);

}  // namespace davit
