# davit_graph: images, references, layers, containers' records and their graph, in LMDB.
pkg_check_modules(LMDB REQUIRED IMPORTED_TARGET lmdb)

add_library(davit_graph STATIC
    ${CMAKE_CURRENT_LIST_DIR}/container_store.cc
    ${CMAKE_CURRENT_LIST_DIR}/data_root_lock.cc
    ${CMAKE_CURRENT_LIST_DIR}/edges.cc
    ${CMAKE_CURRENT_LIST_DIR}/graph_check.cc
    ${CMAKE_CURRENT_LIST_DIR}/graph_db.cc
    ${CMAKE_CURRENT_LIST_DIR}/graph_writer.cc
    ${CMAKE_CURRENT_LIST_DIR}/image_config.cc
    ${CMAKE_CURRENT_LIST_DIR}/image_remove.cc
    ${CMAKE_CURRENT_LIST_DIR}/image_sizes.cc
    ${CMAKE_CURRENT_LIST_DIR}/image_store.cc
    ${CMAKE_CURRENT_LIST_DIR}/layer_origin.cc
    ${CMAKE_CURRENT_LIST_DIR}/layer_store.cc
    ${CMAKE_CURRENT_LIST_DIR}/layer_unfinished.cc
    ${CMAKE_CURRENT_LIST_DIR}/manifest.cc
    ${CMAKE_CURRENT_LIST_DIR}/platform.cc
    ${CMAKE_CURRENT_LIST_DIR}/record.cc
    ${CMAKE_CURRENT_LIST_DIR}/reference.cc
    ${CMAKE_CURRENT_LIST_DIR}/schema.cc
    ${CMAKE_CURRENT_LIST_DIR}/tag_store.cc
    ${CMAKE_CURRENT_LIST_DIR}/txn.cc
    ${CMAKE_CURRENT_LIST_DIR}/volume_store.cc)
target_link_libraries(davit_graph PUBLIC davit_reactor davit_json PRIVATE PkgConfig::LMDB)
