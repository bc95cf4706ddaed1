#pragma once
/// The commands, one per file of this folder; command_table.cc lists them.
#include "cli/command.h"

namespace davit::cli {

extern const Command attach_command;
extern const Command commit_command;
extern const Command container_inspect_command;
extern const Command container_prune_command;
extern const Command cp_command;
extern const Command create_command;
extern const Command daemon_command;
extern const Command diff_command;
extern const Command events_command;
extern const Command exec_command;
extern const Command export_command;
extern const Command gc_command;
extern const Command graph_check_command;
extern const Command graph_show_command;
extern const Command history_command;
extern const Command image_inspect_command;
extern const Command image_pin_command;
extern const Command image_prune_command;
extern const Command image_unpin_command;
extern const Command images_command;
extern const Command import_command;
extern const Command info_command;
extern const Command inspect_command;
extern const Command jobs_command;
extern const Command kill_command;
extern const Command load_command;
extern const Command login_command;
extern const Command logout_command;
extern const Command logs_command;
extern const Command network_connect_command;
extern const Command network_create_command;
extern const Command network_disconnect_command;
extern const Command network_inspect_command;
extern const Command network_ls_command;
extern const Command network_prune_command;
extern const Command network_rm_command;
extern const Command network_stats_command;
extern const Command network_trace_command;
extern const Command network_uninstall_command;
extern const Command port_command;
extern const Command pause_command;
extern const Command ps_command;
extern const Command pull_command;
extern const Command push_command;
extern const Command rename_command;
extern const Command restart_command;
extern const Command rm_command;
extern const Command rmi_command;
extern const Command run_command;
extern const Command save_command;
extern const Command search_command;
extern const Command start_command;
extern const Command stats_command;
extern const Command stop_command;
extern const Command system_df_command;
extern const Command system_prune_command;
extern const Command tag_command;
extern const Command top_command;
extern const Command trace_command;
extern const Command unpause_command;
extern const Command update_command;
extern const Command completion_command;
extern const Command version_command;
extern const Command volume_create_command;
extern const Command volume_inspect_command;
extern const Command volume_ls_command;
extern const Command volume_prune_command;
extern const Command volume_rm_command;
extern const Command wait_command;
extern const Command why_command;

}  // namespace davit::cli
