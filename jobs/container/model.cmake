# davit_container_model: a container as data: configuration, record, state machine, mounts, spec.
add_library(davit_container_model STATIC
    ${CMAKE_CURRENT_LIST_DIR}/cdi_registry.cc
    ${CMAKE_CURRENT_LIST_DIR}/cdi_spec.cc
    ${CMAKE_CURRENT_LIST_DIR}/config.cc
    ${CMAKE_CURRENT_LIST_DIR}/cpu_list.cc
    ${CMAKE_CURRENT_LIST_DIR}/device_requests.cc
    ${CMAKE_CURRENT_LIST_DIR}/devices.cc
    ${CMAKE_CURRENT_LIST_DIR}/endpoint.cc
    ${CMAKE_CURRENT_LIST_DIR}/exit_cause.cc
    ${CMAKE_CURRENT_LIST_DIR}/health.cc
    ${CMAKE_CURRENT_LIST_DIR}/host_config.cc
    ${CMAKE_CURRENT_LIST_DIR}/host_config_check.cc
    ${CMAKE_CURRENT_LIST_DIR}/host_config_update.cc
    ${CMAKE_CURRENT_LIST_DIR}/host_limits.cc
    ${CMAKE_CURRENT_LIST_DIR}/links.cc
    ${CMAKE_CURRENT_LIST_DIR}/log_config.cc
    ${CMAKE_CURRENT_LIST_DIR}/merge.cc
    ${CMAKE_CURRENT_LIST_DIR}/mount_parse.cc
    ${CMAKE_CURRENT_LIST_DIR}/mount_points.cc
    ${CMAKE_CURRENT_LIST_DIR}/mount_propagation.cc
    ${CMAKE_CURRENT_LIST_DIR}/name_generator.cc
    ${CMAKE_CURRENT_LIST_DIR}/path_clean.cc
    ${CMAKE_CURRENT_LIST_DIR}/ports.cc
    ${CMAKE_CURRENT_LIST_DIR}/process_list.cc
    ${CMAKE_CURRENT_LIST_DIR}/path_stat.cc
    ${CMAKE_CURRENT_LIST_DIR}/record.cc
    ${CMAKE_CURRENT_LIST_DIR}/restart_policy.cc
    ${CMAKE_CURRENT_LIST_DIR}/sandbox_files.cc
    ${CMAKE_CURRENT_LIST_DIR}/sandbox_shape.cc
    ${CMAKE_CURRENT_LIST_DIR}/spec_build.cc
    ${CMAKE_CURRENT_LIST_DIR}/state.cc
    ${CMAKE_CURRENT_LIST_DIR}/stats.cc
    ${CMAKE_CURRENT_LIST_DIR}/tree_size.cc)
target_link_libraries(davit_container_model PUBLIC
    davit_graph davit_json davit_libcontainer davit_runtime davit_log_drivers davit_net_model)
