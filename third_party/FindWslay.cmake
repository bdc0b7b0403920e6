# Wslay: the imported target Wslay::Wslay, found by pkg-config (libwslay).
find_package(PkgConfig REQUIRED)
pkg_check_modules(WSLAY QUIET IMPORTED_TARGET libwslay)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Wslay REQUIRED_VARS WSLAY_LINK_LIBRARIES)
if(WSLAY_FOUND AND NOT TARGET Wslay::Wslay)
    add_library(Wslay::Wslay INTERFACE IMPORTED)
    target_link_libraries(Wslay::Wslay INTERFACE PkgConfig::WSLAY)
endif()
