# One suite over each backend; then what only a server can do: die, freeze, refuse.
add_executable(contract_store store.c store_live.c store_presence.c store_world.c)
target_include_directories(contract_store PRIVATE "${PROJECT_SOURCE_DIR}/test")
target_link_libraries(contract_store PRIVATE warren_flags warren_store warren_loop warren_metrics warren_base Cmocka::Cmocka)
foreach(backend memory redis)
    add_test(NAME contract/store/${backend} COMMAND contract_store ${backend})
    set_tests_properties(contract/store/${backend} PROPERTIES LABELS contract TIMEOUT 600 SKIP_RETURN_CODE 77)
endforeach()

add_executable(contract_store_sessions store_sessions.c store_world.c "${PROJECT_SOURCE_DIR}/test/support/redis_server.c")
target_include_directories(contract_store_sessions PRIVATE "${PROJECT_SOURCE_DIR}/test")
target_link_libraries(contract_store_sessions
    PRIVATE warren_flags warren_store warren_loop warren_metrics warren_base Hiredis::Hiredis Cmocka::Cmocka)
foreach(backend memory redis faults)
    add_test(NAME contract/store_sessions/${backend} COMMAND contract_store_sessions ${backend})
    set_tests_properties(contract/store_sessions/${backend} PROPERTIES LABELS contract TIMEOUT 600 SKIP_RETURN_CODE 77)
endforeach()

add_executable(contract_store_rooms store_rooms.c store_world.c "${PROJECT_SOURCE_DIR}/test/support/redis_server.c")
target_include_directories(contract_store_rooms PRIVATE "${PROJECT_SOURCE_DIR}/test")
target_link_libraries(contract_store_rooms
    PRIVATE warren_flags warren_store warren_loop warren_metrics warren_base Hiredis::Hiredis Cmocka::Cmocka)
foreach(backend memory redis faults)
    add_test(NAME contract/store_rooms/${backend} COMMAND contract_store_rooms ${backend})
    set_tests_properties(contract/store_rooms/${backend} PROPERTIES LABELS contract TIMEOUT 120 SKIP_RETURN_CODE 77)
endforeach()

add_executable(contract_store_log store_log.c store_world.c store_world_log.c)
target_include_directories(contract_store_log PRIVATE "${PROJECT_SOURCE_DIR}/test")
target_link_libraries(contract_store_log PRIVATE warren_flags warren_store warren_loop warren_metrics warren_base Cmocka::Cmocka)
foreach(backend memory redis)
    add_test(NAME contract/store_log/${backend} COMMAND contract_store_log ${backend})
    set_tests_properties(contract/store_log/${backend} PROPERTIES LABELS contract TIMEOUT 600 SKIP_RETURN_CODE 77)
endforeach()

add_executable(contract_store_faults store_faults.c store_world.c "${PROJECT_SOURCE_DIR}/test/support/redis_server.c")
target_include_directories(contract_store_faults PRIVATE "${PROJECT_SOURCE_DIR}/test")
target_link_libraries(contract_store_faults
    PRIVATE warren_flags warren_store warren_loop warren_metrics warren_base Hiredis::Hiredis Cmocka::Cmocka)
add_test(NAME contract/store/faults COMMAND contract_store_faults)
set_tests_properties(contract/store/faults PROPERTIES LABELS contract TIMEOUT 600 SKIP_RETURN_CODE 77)

add_executable(contract_store_log_faults
    store_log_faults.c store_world.c store_world_log.c "${PROJECT_SOURCE_DIR}/test/support/redis_server.c")
target_include_directories(contract_store_log_faults PRIVATE "${PROJECT_SOURCE_DIR}/test")
target_link_libraries(contract_store_log_faults
    PRIVATE warren_flags warren_store warren_loop warren_metrics warren_base Hiredis::Hiredis Cmocka::Cmocka)
add_test(NAME contract/store_log/faults COMMAND contract_store_log_faults)
set_tests_properties(contract/store_log/faults PROPERTIES LABELS contract TIMEOUT 600 SKIP_RETURN_CODE 77)
