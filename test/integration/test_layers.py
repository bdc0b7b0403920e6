#!/usr/bin/python3
"""The script that holds includes against the table of layers finds what it is there to find: each kind is planted in a copy of the tree."""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))


class Layers(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="warren-layers-")
        self.addCleanup(folder.cleanup)
        self.tree = folder.name
        for name in ("pkg", "cmd", "scripts"):
            shutil.copytree(os.path.join(TOP, name), os.path.join(self.tree, name))

    def check(self, *arguments):
        result = subprocess.run([os.path.join(self.tree, "scripts", "check-layers"), *arguments], capture_output=True, text=True, timeout=240,
                                check=False)
        self.assertEqual(result.stderr, "")
        return result.returncode, result.stdout

    def plant(self, path, line):
        """Appends a line to a file, which is made if there is none; returns its number."""
        path = os.path.join(self.tree, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "a+", encoding="utf-8") as file:
            file.write("\n" + line + "\n")
            file.seek(0)
            return len(file.read().splitlines())

    def test_the_tree_as_it_is(self):
        code, out = self.check(self.tree)
        self.assertEqual(code, 0, out)
        self.assertRegex(out, r"^\d+ files, 0 forbidden includes\n$")
        self.assertGreater(int(out.split()[0]), 100, "the copy is the whole tree")
        self.assertEqual(self.check()[1], out, "without an argument it looks at its own tree")

    def test_what_is_forbidden(self):
        planted = {f"{path}:{self.plant(path, line)}": words for path, line, words in [
            ("pkg/hub/hub.c", '#include "../base/log.h"', "./"),
            ("pkg/hub/hub.c", '#include "./hub.h"', "./"),
            ("pkg/hub/hub.c", '#include "base/../net/stream.h"', "./"),
            ("pkg/hub/hub.c", '#include "hub.h"', "no such file"),
            ("pkg/hub/hub.c", "#include <base/log.h>", "quotes"),
            ("pkg/hub/hub.c", "#include <hub/hub.h>", "quotes"),
            ("pkg/base/log.c", '#include "loop/loop.h"', "base may not include loop"),
            ("pkg/hub/hub.c", '#include "gateway/gateway.h"', "hub may not include gateway"),
            ("pkg/hub/hub.c", '#include "net/stream.h"', "hub may not include net"),
            ("pkg/gateway/gateway.h", '#include "api/api.h"', "gateway may not include api"),
            ("pkg/api/api.c", '#include "gateway/gateway.h"', "api may not include gateway"),
            ("pkg/bus/bus.h", '#include "store/store.h"', "bus may not include store"),
            ("pkg/http/parser.c", '#include "net/stream.h"', "http may not include net"),
            ("pkg/server/server.c", '#include "client/client.h"', "server may not include client"),
            ("pkg/hub/hub.c", '#include "store/memory.h"', "hub sees only store/store.h of store"),
            ("pkg/hub/hub.c", '#include "bus/local.h"', "of bus"),
            ("pkg/server/server.c", '#include "hub/hub_internal.h"', "pkg/hub/ alone"),
            ("pkg/gateway/gateway.c", '#include "net/net_internal.h"', "pkg/net/ alone"),
            ("pkg/hub/hub.c", "#include <amqp.h>", "stops at bus"),
            ("pkg/hub/hub.c", "#include <hiredis/hiredis.h>", "stops at store"),
            ("pkg/store/store.h", "#include <rabbitmq-c/amqp.h>", "stops at bus"),
            ("pkg/gateway/gateway.c", "#include <openssl/ssl.h>", "stops at"),
            ("pkg/http/parser.c", "#include <event2/event.h>", "stops at"),
            ("pkg/base/json.h", "#include <msgpack.h>", "stops at"),
            ("pkg/base/json.h", "#include <jansson.h>", "not known to the table"),
            ("pkg/base/log.c", "  #  include <curl/curl.h> // indented, and with a comment", "not known to the table"),
            ("cmd/warrenctl/main.c", '#include "server/server.h"', "cmd/warrenctl may not include server"),
            ("cmd/warrend/main.c", '#include "client/client.h"', "cmd/warrend may not include client"),
            ("cmd/warrend/main.c", '#include "nothing.h"', "nothing.h"),
        ]}
        code, out = self.check(self.tree)
        self.assertEqual(code, 1, out)
        *told, count = out.splitlines()
        told = dict(line.split(": ", 1) for line in told)
        self.assertEqual(sorted(told), sorted(planted), "each, and nothing else is told")
        for place, words in planted.items():
            self.assertIn(words, told[place], place)
        self.assertTrue(count.endswith(f" files, {len(planted)} forbidden includes"), count)
        self.plant("pkg/newcomer/newcomer.c", "int newcomer;")
        code, out = self.check(self.tree)
        self.assertEqual(code, 1)
        self.assertIn("newcomer has no row in the table", out)

    def test_what_is_allowed(self):
        for path, line in [("pkg/hub/hub.c", '#include "store/store.h"'), ("pkg/bus/bus.h", "#include <stdint.h>"),
                           ("pkg/hub/hub.c", '#include "hub/hub_internal.h"'), ("pkg/gateway/gateway.c", '#include "net/stream.h"'),
                           ("pkg/bus/rabbitmq/connection.c", "#include <rabbitmq-c/amqp.h>"), ("cmd/warrenctl/main.c", '#include "warrenctl.h"'),
                           ("pkg/base/log.c", '/* #include "loop/loop.h" */')]:
            self.plant(path, line)
        code, out = self.check(self.tree)
        self.assertEqual(code, 0, out)

    def test_an_empty_tree_is_no_success(self):
        with tempfile.TemporaryDirectory() as nothing:
            self.assertEqual(self.check(nothing)[0], 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
