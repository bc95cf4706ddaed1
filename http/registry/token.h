#pragma once
/// TokenCache: bearer tokens for a registry's repositories, fetched once and kept until they
/// expire.
///
/// Follows: distribution's "Token Authentication Specification" and "OAuth2 Token Authentication".
#include <map>
#include <memory>
#include <string>

#include "http/client.h"
#include "http/registry/challenge.h"
#include "http/registry/credentials.h"
#include "reactor/async_event.h"

namespace davit {

/// What a token is for. Equal keys share one token.
struct TokenKey {
    std::string realm;    ///< The token server's URL.
    std::string service;  ///< As the challenge had it.
    std::string scope;    ///< "repository:library/alpine:pull"; several are parted by blanks.
    RegistryCredentials credentials;
    /// The realm may be spoken to in the clear (its registry may).
    bool insecure = false;
    /// For a login: ask for a refresh token as well.
    bool offline = false;

    /// Distinguishes what must not be shared; holds no password in the clear.
    std::string text() const;
};

struct Token {
    std::string value;
    MonotonicTime expires;
    /// What identity tokens are; "" if the server issued none.
    std::string refresh_token;
};

/// Parse a token server's answer. expires_in counts from now; 60 seconds if absent, as the
/// specification says. Errors: corrupt without "token" and "access_token".
Result<Token> token_parse(std::string_view body, MonotonicTime now);

class TokenCache {
  public:
    TokenCache() = default;
    TokenCache(const TokenCache&) = delete;
    TokenCache& operator=(const TokenCache&) = delete;

    /// A token that is still good; fetched if there is none. Callers with the same key wait for one
    /// fetch.
    /// Errors: unauthorized (the token server refuses); those of HttpClient::send().
    Task<std::string> get(HttpClient& http, TokenKey key);

    /// What came with the key's token, if there is one.
    std::string refresh_token(const TokenKey& key) const;

    /// The registry refused this token: the next get() fetches another, unless somebody did
    /// already.
    void refused(const TokenKey& key, const std::string& token);

    std::size_t size() const { return entries_.size(); }

  private:
    struct Entry {
        Token token;
        AsyncMutex fetching;
    };

    Task<Token> fetch(HttpClient& http, TokenKey key);
    void drop_expired(MonotonicTime now);

    std::map<std::string, std::shared_ptr<Entry>> entries_;
};

}  // namespace davit
