# Hiredis: the imported target Hiredis::Hiredis, found by pkg-config (hiredis).
find_package(PkgConfig REQUIRED)
pkg_check_modules(HIREDIS QUIET IMPORTED_TARGET hiredis)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Hiredis REQUIRED_VARS HIREDIS_LINK_LIBRARIES)
if(HIREDIS_FOUND AND NOT TARGET Hiredis::Hiredis)
    add_library(Hiredis::Hiredis INTERFACE IMPORTED)
    target_link_libraries(Hiredis::Hiredis INTERFACE PkgConfig::HIREDIS)
endif()
