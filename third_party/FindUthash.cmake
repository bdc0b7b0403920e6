# Uthash: the imported target Uthash::Uthash; headers only.
find_path(UTHASH_INCLUDE_DIR uthash.h)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Uthash REQUIRED_VARS UTHASH_INCLUDE_DIR)
if(UTHASH_FOUND AND NOT TARGET Uthash::Uthash)
    add_library(Uthash::Uthash INTERFACE IMPORTED)
    target_include_directories(Uthash::Uthash SYSTEM INTERFACE "${UTHASH_INCLUDE_DIR}")
endif()
