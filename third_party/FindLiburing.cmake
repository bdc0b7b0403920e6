# Liburing: the imported target Liburing::Liburing, found by pkg-config (liburing).
find_package(PkgConfig REQUIRED)
pkg_check_modules(LIBURING QUIET IMPORTED_TARGET liburing)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Liburing REQUIRED_VARS LIBURING_LINK_LIBRARIES)
if(LIBURING_FOUND AND NOT TARGET Liburing::Liburing)
    add_library(Liburing::Liburing INTERFACE IMPORTED)
    target_link_libraries(Liburing::Liburing INTERFACE PkgConfig::LIBURING)
endif()
