// davit: the command line, and with its command `daemon` the daemon.
#include <signal.h>

#include <span>
#include <string_view>

#include "cli/command.h"
#include "cli/offline.h"
#include "cli/runtime/runtime_main.h"
#include "reactor/loop.h"

#ifdef DAVIT_HAS_DAEMON
#include "http/api/daemon_main.h"
#include "http/api/graph_offline.h"
#include "http/api/network_offline.h"

namespace {

davit::Task<std::string> graph_offline(std::string data_root, std::string run_dir, bool repair) {
    return davit::graph_check_offline({std::move(data_root), std::move(run_dir), repair});
}

davit::Task<std::string> network_uninstall(std::string data_root, std::string run_dir) {
    return davit::network_uninstall_offline({std::move(data_root), std::move(run_dir)});
}

}  // namespace
#endif

int main(int argc, char** argv) {
    if (argc > 0 && davit::cli::is_runtime_name(argv[0])) {
        return davit::cli::runtime_main({argv + 1, argv + argc});
    }
    if (argc > 1 && std::string_view(argv[1]) == "runtime") {
        return davit::cli::runtime_main({argv + 2, argv + argc});
    }
#ifdef DAVIT_HAS_DAEMON
    if (argc > 1 && std::string_view(argv[1]) == "daemon") {
        return davit::daemon_main(argc - 1, argv + 1);
    }
    davit::cli::graph_offline = graph_offline;
    davit::cli::network_uninstall = network_uninstall;
#endif
    // A reader that is gone is an error of write(2) to whoever writes: see Output and
    // AttachSession.
    ::signal(SIGPIPE, SIG_IGN);
    davit::Loop loop;
    const std::span<const char* const> words(argv + (argc > 0 ? 1 : 0), argv + argc);
    const davit::Result<int> code = loop.run(davit::cli::command_line_run({}, words));
    return code ? *code : davit::cli::exit_failure;
}
