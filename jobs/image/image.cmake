# davit_image_jobs: pulling, importing, loading, saving and removing images.
add_library(davit_image_jobs STATIC
    ${CMAKE_CURRENT_LIST_DIR}/config_change.cc
    ${CMAKE_CURRENT_LIST_DIR}/history.cc
    ${CMAKE_CURRENT_LIST_DIR}/image_names.cc
    ${CMAKE_CURRENT_LIST_DIR}/import.cc
    ${CMAKE_CURRENT_LIST_DIR}/layer_decode.cc
    ${CMAKE_CURRENT_LIST_DIR}/layer_pipeline.cc
    ${CMAKE_CURRENT_LIST_DIR}/layer_pool.cc
    ${CMAKE_CURRENT_LIST_DIR}/layer_pool_links.cc
    ${CMAKE_CURRENT_LIST_DIR}/layer_reader.cc
    ${CMAKE_CURRENT_LIST_DIR}/layer_sync.cc
    ${CMAKE_CURRENT_LIST_DIR}/load.cc
    ${CMAKE_CURRENT_LIST_DIR}/load_archive.cc
    ${CMAKE_CURRENT_LIST_DIR}/load_documents.cc
    ${CMAKE_CURRENT_LIST_DIR}/progress.cc
    ${CMAKE_CURRENT_LIST_DIR}/prune.cc
    ${CMAKE_CURRENT_LIST_DIR}/pull.cc
    ${CMAKE_CURRENT_LIST_DIR}/pull_manifest.cc
    ${CMAKE_CURRENT_LIST_DIR}/push.cc
    ${CMAKE_CURRENT_LIST_DIR}/push_index.cc
    ${CMAKE_CURRENT_LIST_DIR}/push_manifest.cc
    ${CMAKE_CURRENT_LIST_DIR}/push_source.cc
    ${CMAKE_CURRENT_LIST_DIR}/remove.cc
    ${CMAKE_CURRENT_LIST_DIR}/save.cc)
target_link_libraries(davit_image_jobs
    PUBLIC davit_options davit_graph davit_graph_drivers davit_registry davit_reactor davit_base
    PRIVATE davit_tar davit_json)
