# Jansson: the imported target Jansson::Jansson, found by pkg-config (jansson).
find_package(PkgConfig REQUIRED)
pkg_check_modules(JANSSON QUIET IMPORTED_TARGET jansson)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Jansson REQUIRED_VARS JANSSON_LINK_LIBRARIES)
if(JANSSON_FOUND AND NOT TARGET Jansson::Jansson)
    add_library(Jansson::Jansson INTERFACE IMPORTED)
    target_link_libraries(Jansson::Jansson INTERFACE PkgConfig::JANSSON)
endif()
