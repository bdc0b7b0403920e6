# The bus over both backends. RabbitMQ: WARREN_TEST_AMQP_URL (amqp://user:password@host:port) and
# WARREN_TEST_AMQP_MANAGEMENT_URL (http://user:password@host:port); each test makes a vhost of its own.
add_executable(contract_bus bus.c bus_fixture.c bus_rabbitmq.c bus_ingress.c proxy.c)
target_include_directories(contract_bus PRIVATE "${PROJECT_SOURCE_DIR}/test")
target_link_libraries(contract_bus PRIVATE warren_flags warren_bus warren_config warren_metrics warren_loop warren_base
                                           Cmocka::Cmocka Threads::Threads)
foreach(backend local rabbitmq)
    add_test(NAME contract/bus/${backend} COMMAND contract_bus ${backend})
    set_tests_properties(contract/bus/${backend} PROPERTIES LABELS contract TIMEOUT 600 SKIP_RETURN_CODE 77)
endforeach()
