# Wslay: the imported target Wslay::Wslay. Debian ships no pkg-config file for it.
find_path(WSLAY_INCLUDE_DIR wslay/wslay.h)
find_library(WSLAY_LIBRARY wslay)
mark_as_advanced(WSLAY_INCLUDE_DIR WSLAY_LIBRARY)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Wslay REQUIRED_VARS WSLAY_LIBRARY WSLAY_INCLUDE_DIR)
if(WSLAY_FOUND AND NOT TARGET Wslay::Wslay)
    add_library(Wslay::Wslay UNKNOWN IMPORTED)
    set_target_properties(Wslay::Wslay PROPERTIES
        IMPORTED_LOCATION "${WSLAY_LIBRARY}" INTERFACE_INCLUDE_DIRECTORIES "${WSLAY_INCLUDE_DIR}")
endif()
