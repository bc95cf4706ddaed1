// davit login, davit logout
#include <fcntl.h>

#include <fmt/format.h>

#include "cli/auth_config.h"
#include "cli/commands/commands.h"
#include "cli/stdio_stream.h"
#include "cli/terminal.h"
#include "http/json_reader.h"
#include "http/json_writer.h"

namespace davit::cli {

namespace {

constexpr std::size_t answer_bytes_max = 4096;
/// A password manager's worth of standard input.
constexpr std::size_t password_bytes_max = 64 * 1024;

struct LoginOptions {
    std::string password;
    bool password_stdin = false;
    std::string username;
};

constexpr Flag login_flags[] = {
    flag<LoginOptions, &LoginOptions::password>(
        "password", 'p', "string", "Password or token (better: --password-stdin)"),
    flag<LoginOptions, &LoginOptions::password_stdin>(
        "password-stdin", 0, "", "Take the password from standard input"),
    flag<LoginOptions, &LoginOptions::username>("username", 'u', "string", "User name"),
};

struct LogoutOptions {};

Task<std::string> password_from_stdin(Context& context) {
    CO_TRY(StdioStream input, StdioStream::open(context.fds().in, O_RDONLY));
    std::string text;
    char chunk[4096];
    for (;;) {
        CO_TRY(const std::size_t got, co_await input.read(chunk));
        if (got == 0) {
            break;
        }
        text.append(chunk, got);
        if (text.size() > password_bytes_max) {
            co_return Error(ErrorKind::invalid_argument, "the password is too long");
        }
    }
    for (const char end : {'\n', '\r'}) {
        if (text.ends_with(end)) {
            text.pop_back();
        }
    }
    co_return std::move(text);
}

/// One line from the terminal. hidden: its keys are not shown, which takes raw mode.
Task<std::string> answer_read(Context& context, std::string question, bool hidden) {
    context.out.write(question);
    context.out.flush();
    std::optional<RawMode> raw;
    if (hidden) {
        CO_TRY(RawMode mode, RawMode::enter(context.fds().in));
        raw.emplace(std::move(mode));
    }
    CO_TRY(StdioStream input, StdioStream::open(context.fds().in, O_RDONLY));
    std::string line;
    for (;;) {
        char key[1];
        CO_TRY(const std::size_t got, co_await input.read(key));
        if (got == 0 || key[0] == '\n' || key[0] == '\r') {
            break;
        }
        if (hidden && (key[0] == 3 || key[0] == 4)) {  // ^C, ^D
            raw.reset();
            context.out.line("");
            co_return Error(ErrorKind::cancelled, "login was interrupted");
        }
        if (hidden && (key[0] == 127 || key[0] == 8)) {
            line.resize(line.empty() ? 0 : line.size() - 1);
        } else if (line.size() < answer_bytes_max) {
            line += key[0];
        }
    }
    if (hidden) {
        raw.reset();
        context.out.line("");
    }
    co_return std::move(line);
}

/// Fill in what the flags left open. Errors: invalid_argument, in docker's words.
Task<void> credentials_ask(Context& context, LoginOptions& options) {
    if (options.password_stdin && !options.password.empty()) {
        co_return Error(ErrorKind::invalid_argument,
                        "--password and --password-stdin are mutually exclusive");
    }
    if (options.password_stdin && options.username.empty()) {
        co_return Error(ErrorKind::invalid_argument,
                        "Must provide --username with --password-stdin");
    }
    if (options.password_stdin) {
        CO_TRY(options.password, co_await password_from_stdin(context));
        co_return ok;
    }
    if (!options.password.empty()) {
        context.err.line(
            "WARNING! Using --password via the CLI is insecure. Use --password-stdin.");
    }
    if (!options.username.empty() && !options.password.empty()) {
        co_return ok;
    }
    if (!is_terminal(context.fds().in)) {
        co_return Error(ErrorKind::invalid_argument,
                        "Error: Cannot perform an interactive login from a non TTY device");
    }
    if (options.username.empty()) {
        CO_TRY(options.username, co_await answer_read(context, "Username: ", false));
    }
    if (options.username.empty()) {
        co_return Error(ErrorKind::invalid_argument, "Error: Non-null Username Required");
    }
    CO_TRY(options.password, co_await answer_read(context, "Password: ", true));
    if (options.password.empty()) {
        co_return Error(ErrorKind::invalid_argument, "Error: Password Required");
    }
    co_return ok;
}

std::string login_body(const StoredLogin& login, std::string_view server) {
    std::string body;
    JsonWriter json(body);
    json.begin_object().key("username").string(login.username);
    if (!login.password.empty()) {
        json.key("password").string(login.password);
    }
    if (!login.identity_token.empty()) {
        json.key("identitytoken").string(login.identity_token);
    }
    json.key("serveraddress").string(server).end_object();
    return body;
}

/// Ask the daemon, store what is to be kept, and tell the user.
Task<void> login_with(Context& context, ApiClient& api, StoredLogin login, std::string server) {
    ApiCall call{"POST", "/auth"};
    call.body = login_body(login, server);
    CO_TRY(const std::string body, co_await api.call(std::move(call)));
    CO_TRY(const JsonDocument document, JsonDocument::parse(body));
    CO_TRY(const std::string status, document.root().string_or("Status", ""));
    CO_TRY(std::string identity, document.root().string_or("IdentityToken", ""));
    if (!identity.empty()) {
        login.identity_token = std::move(identity);
        login.password.clear();
    }
    const std::string directory = context.config_directory();
    CO_CHECK(login_store(directory, server, login));
    context.err.line(
        fmt::format("\nWARNING! Your credentials are stored unencrypted in '{}/config.json'.\n"
                    "Configure a credential helper to remove this warning. See\n"
                    "https://docs.docker.com/go/credential-store/\n",
                    directory));
    context.err.flush();
    if (!status.empty()) {
        context.out.line(status);
    }
    co_return ok;
}

Task<int> login(Context& context, LoginOptions options, Arguments arguments) {
    CO_TRY(ApiClient * api, context.api());
    const std::string server = auth_key(arguments.empty() ? "" : arguments[0]);
    const std::string directory = context.config_directory();
    CO_CHECK(login_store_check(directory, server));
    if (options.username.empty() && options.password.empty() && !options.password_stdin) {
        CO_TRY(const std::optional<StoredLogin> stored, login_find(directory, server));
        if (stored) {
            context.out.line(fmt::format(
                "Authenticating with existing credentials... [Username: {}]", stored->username));
            context.out.flush();
            Result<void> done = co_await login_with(context, *api, *stored, server);
            if (done || done.error().kind() != ErrorKind::unauthorized ||
                !is_terminal(context.fds().in)) {
                CO_CHECK(std::move(done));
                co_return 0;
            }
            context.err.line("Login did not succeed, error: " + done.error().message());
            context.err.flush();
        }
    }
    CO_CHECK(co_await credentials_ask(context, options));
    StoredLogin fresh;
    fresh.username = options.username;
    fresh.password = options.password;
    CO_CHECK(co_await login_with(context, *api, std::move(fresh), server));
    co_return 0;
}

Task<int> logout(Context& context, LogoutOptions, Arguments arguments) {
    const std::string server = auth_key(arguments.empty() ? "" : arguments[0]);
    CO_TRY(const bool was_there, login_erase(context.config_directory(), server));
    context.out.line((was_there ? "Removing login credentials for " : "Not logged in to ") +
                     server);
    co_return 0;
}

}  // namespace

constexpr Command login_command{
    .name = "login",
    .usage = "[OPTIONS] [SERVER]",
    .summary = "Log in to a registry",
    .count = {.max = 1},
    .flags = login_flags,
    .body = command_body<LoginOptions, login>,
};

constexpr Command logout_command{
    .name = "logout",
    .usage = "[SERVER]",
    .summary = "Forget the credentials for a registry",
    .count = {.max = 1},
    .body = command_body<LogoutOptions, logout>,
};

}  // namespace davit::cli
