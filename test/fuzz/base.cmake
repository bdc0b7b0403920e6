warren_fuzz_target(json warren_base)
