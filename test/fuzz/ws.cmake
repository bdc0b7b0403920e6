warren_fuzz_target(ws warren_ws warren_base)
warren_fuzz_target(deflate warren_ws warren_base ZLIB::ZLIB)
