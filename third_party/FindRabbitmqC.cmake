# RabbitmqC: the imported target RabbitmqC::RabbitmqC, found by pkg-config (librabbitmq).
find_package(PkgConfig REQUIRED)
pkg_check_modules(RABBITMQC QUIET IMPORTED_TARGET librabbitmq)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(RabbitmqC REQUIRED_VARS RABBITMQC_LINK_LIBRARIES)
if(RABBITMQC_FOUND AND NOT TARGET RabbitmqC::RabbitmqC)
    add_library(RabbitmqC::RabbitmqC INTERFACE IMPORTED)
    target_link_libraries(RabbitmqC::RabbitmqC INTERFACE PkgConfig::RABBITMQC)
endif()
