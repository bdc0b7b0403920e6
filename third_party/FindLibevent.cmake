# Libevent: the imported target Libevent::Libevent, found by pkg-config (libevent_core libevent_extra libevent_openssl).
find_package(PkgConfig REQUIRED)
pkg_check_modules(LIBEVENT QUIET IMPORTED_TARGET libevent_core libevent_extra libevent_openssl)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Libevent REQUIRED_VARS LIBEVENT_LINK_LIBRARIES)
if(LIBEVENT_FOUND AND NOT TARGET Libevent::Libevent)
    add_library(Libevent::Libevent INTERFACE IMPORTED)
    target_link_libraries(Libevent::Libevent INTERFACE PkgConfig::LIBEVENT)
endif()
