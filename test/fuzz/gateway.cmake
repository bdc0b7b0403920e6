warren_fuzz_target(upgrade warren_gateway warren_hub warren_bus warren_store warren_proto warren_net warren_ws warren_http
    warren_config warren_metrics warren_loop warren_base)
