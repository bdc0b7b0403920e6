# MsgpackC: the imported target MsgpackC::MsgpackC. Debian 13 calls the module msgpack-c, Debian 12 msgpack.
find_package(PkgConfig REQUIRED)
pkg_search_module(MSGPACKC QUIET IMPORTED_TARGET msgpack-c msgpack)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(MsgpackC REQUIRED_VARS MSGPACKC_LINK_LIBRARIES)
if(MSGPACKC_FOUND AND NOT TARGET MsgpackC::MsgpackC)
    add_library(MsgpackC::MsgpackC INTERFACE IMPORTED)
    target_link_libraries(MsgpackC::MsgpackC INTERFACE PkgConfig::MSGPACKC)
endif()
