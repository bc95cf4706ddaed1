# davit_json: reading and writing JSON; needs nothing of the HTTP code.
pkg_check_modules(SIMDJSON REQUIRED IMPORTED_TARGET simdjson)

add_library(davit_json STATIC
    ${CMAKE_CURRENT_LIST_DIR}/json_reader.cc
    ${CMAKE_CURRENT_LIST_DIR}/json_writer.cc
    ${CMAKE_CURRENT_LIST_DIR}/utf8.cc)
target_link_libraries(davit_json PUBLIC davit_base PRIVATE PkgConfig::SIMDJSON)
