warren_fuzz_target(ws warren_ws warren_base)
