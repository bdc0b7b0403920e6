# Cmocka: the imported target Cmocka::Cmocka, found by pkg-config (cmocka).
find_package(PkgConfig REQUIRED)
pkg_check_modules(CMOCKA QUIET IMPORTED_TARGET cmocka)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Cmocka REQUIRED_VARS CMOCKA_LINK_LIBRARIES)
if(CMOCKA_FOUND AND NOT TARGET Cmocka::Cmocka)
    add_library(Cmocka::Cmocka INTERFACE IMPORTED)
    target_link_libraries(Cmocka::Cmocka INTERFACE PkgConfig::CMOCKA)
endif()
