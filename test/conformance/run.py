#!/usr/bin/python3
"""RFC 6455 and RFC 7692 against /echo of a running node, written from the two texts. Every case says which section it checks and is
strict: passed or failed, nothing between.

    run.py [--port PORT] [WORD…]      cases whose section or title has one of the words; --port: a server that runs already

Without --port a node of WARREN_BIN is started.
"""
import argparse
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import suite  # noqa: E402
import closing  # noqa: E402,F401
import compression  # noqa: E402,F401
import framing  # noqa: E402,F401
import limits  # noqa: E402,F401
import utf8  # noqa: E402,F401
import warren  # noqa: E402

COMMON = {"listen.echo": "on", "limits.frame_bytes": "16m", "limits.fragments": "65536"}
SETTINGS = {None: COMMON, "context": {**COMMON, "deflate.client_context": "on", "deflate.min_bytes": "0"}}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int)
    parser.add_argument("words", nargs="*")
    options = parser.parse_args()
    cases = [c for c in suite.CASES if not options.words or any(w in f"{c.section} {c.title}" for w in options.words)]
    nodes = {}

    def port_of(setting):
        if options.port:
            return options.port
        if setting not in nodes:
            nodes[setting] = warren.Node(SETTINGS[setting], standalone=True).start()
        return nodes[setting].port

    try:
        failures = suite.run(cases, port_of)
        for node in nodes.values():
            warren.wait_for(lambda n=node: n.metric("warren_gateway_connections") == 0, "all connections have ended")
            node.stop()
    finally:
        for node in nodes.values():
            node.kill()
    return 1 if failures or not cases else 0


if __name__ == "__main__":
    sys.exit(main())
