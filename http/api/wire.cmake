# davit_wire: what the API's clients send and get, as values; no server, no daemon.
add_library(davit_wire STATIC
    ${CMAKE_CURRENT_LIST_DIR}/api_version.cc
    ${CMAKE_CURRENT_LIST_DIR}/container_filter.cc
    ${CMAKE_CURRENT_LIST_DIR}/container_json.cc
    ${CMAKE_CURRENT_LIST_DIR}/create_body.cc
    ${CMAKE_CURRENT_LIST_DIR}/duration.cc
    ${CMAKE_CURRENT_LIST_DIR}/event_filter.cc
    ${CMAKE_CURRENT_LIST_DIR}/filters.cc
    ${CMAKE_CURRENT_LIST_DIR}/image_filter.cc
    ${CMAKE_CURRENT_LIST_DIR}/platform_json.cc
    ${CMAKE_CURRENT_LIST_DIR}/prune_filter.cc
    ${CMAKE_CURRENT_LIST_DIR}/stats_json.cc)
target_link_libraries(davit_wire PUBLIC davit_container_model davit_json)
