#pragma once
/// A network as the API shows it.
#include "http/json_writer.h"
#include "jobs/network/networks.h"

namespace davit {

/// One object of GET /networks, or GET /networks/{id} with who is in it.
/// Follows: Docker Engine API, Network; the order of keys is Docker's, too.
void network_write(JsonWriter& json, const Network& network, bool with_members);

/// The body of POST /networks/create. Errors: invalid_argument.
Result<NetworkCreateRequest> network_create_parse(std::string_view body);

}  // namespace davit
