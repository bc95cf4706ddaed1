#include "cli/commands/commands.h"

namespace davit::cli {

namespace {

constexpr const Command* table[] = {
    &run_command,
    &create_command,
    &start_command,
    &stop_command,
    &kill_command,
    &restart_command,
    &pause_command,
    &unpause_command,
    &rename_command,
    &container_prune_command,
    &top_command,
    &stats_command,
    &update_command,
    &diff_command,
    &exec_command,
    &rm_command,
    &ps_command,
    &logs_command,
    &attach_command,
    &wait_command,
    &container_inspect_command,
    &cp_command,
    &commit_command,
    &export_command,
    &pull_command,
    &push_command,
    &import_command,
    &load_command,
    &save_command,
    &images_command,
    &image_inspect_command,
    &history_command,
    &image_prune_command,
    &tag_command,
    &rmi_command,
    &login_command,
    &logout_command,
    &search_command,
    &image_referrers_command,
    &inspect_command,
    &events_command,
    &image_pin_command,
    &image_unpin_command,
    &gc_command,
    &graph_check_command,
    &graph_show_command,
    &jobs_command,
    &trace_command,
    &why_command,
    &info_command,
    &system_df_command,
    &system_prune_command,
    &bench_command,
    &completion_command,
    &version_command,
    &port_command,
    &network_create_command,
    &network_ls_command,
    &network_inspect_command,
    &network_rm_command,
    &network_connect_command,
    &network_disconnect_command,
    &network_prune_command,
    &network_stats_command,
    &network_trace_command,
    &network_uninstall_command,
    &volume_create_command,
    &volume_inspect_command,
    &volume_ls_command,
    &volume_prune_command,
    &volume_rm_command,
#ifdef DAVIT_HAS_DAEMON
    &daemon_command,
#endif
};

}  // namespace

std::span<const Command* const> command_table() {
    return table;
}

}  // namespace davit::cli
