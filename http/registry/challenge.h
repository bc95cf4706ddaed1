#pragma once
/// WWW-Authenticate: what a server wants to see before it answers.
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "http/message.h"

namespace davit {

struct AuthChallenge {
    std::string scheme;                             ///< Lower case: "bearer", "basic".
    std::map<std::string, std::string> parameters;  ///< Names in lower case: realm, service, scope.

    /// "" if there is none.
    std::string_view parameter(const std::string& name) const;
};

/// The challenges of every WWW-Authenticate field, in order. One field may hold several, and
/// parameters are tokens or quoted strings. What is malformed ends its field; what came before it
/// counts. Follows: RFC 9110 section 11.6.1.
std::vector<AuthChallenge> challenges_parse(const Headers& headers);
std::vector<AuthChallenge> challenges_parse(std::string_view field);

}  // namespace davit
