#!/usr/bin/python3
"""The demonstration page in a real browser: two nodes, one room, and names that would be markup.

WARREN_TEST_SCREENSHOTS, a folder, keeps what it looked like.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import warren  # noqa: E402
import webdriver  # noqa: E402

EVIL = "<img src=x onerror=window.pwned=1>"


class Demo(warren.WarrenTest):
    node_count = 2
    settings = {"listen.demo": "on", "hub.online_interval": "100ms"}

    def setUp(self):
        super().setUp()
        self.browser = webdriver.Browser()
        self.addCleanup(self.browser.close)

    def page(self, here, other, room="lobby"):
        self.browser.open(f"{here.http}/?room={room}&other={other.ws}/ws")

    def join(self, name, room="lobby"):
        self.browser.type("#room", room)
        self.browser.type("#name", name)
        self.browser.click("#connect")
        for pane in "ab":
            self.wait(lambda pane=pane: self.one(pane, ".state") == "connected", f"pane {pane} connected")

    def wait(self, condition, what):
        try:
            return warren.wait_for(condition, what)
        except AssertionError:
            print(self.browser.run("return document.body.innerText"), file=sys.stderr)
            raise

    def one(self, pane, selector):
        return self.browser.texts(f'[data-pane="{pane}"] {selector}')[0]

    def all(self, pane, selector):
        return self.browser.texts(f'[data-pane="{pane}"] {selector}')

    def say(self, pane, text):
        self.browser.type(f'[data-pane="{pane}"] .composer .text', text)
        self.browser.click(f'[data-pane="{pane}"] .send')

    def heard(self, pane, text):
        self.wait(lambda: text in self.all(pane, ".message .text"), f"{text!r} in pane {pane}")

    def keep(self, name):
        picture = self.browser.screenshot()
        self.assertEqual(picture[:8], b"\x89PNG\r\n\x1a\n")
        folder = os.environ.get("WARREN_TEST_SCREENSHOTS")
        if folder:
            with open(os.path.join(folder, f"demo-{name}.png"), "wb") as file:
                file.write(picture)

    def test_a_line_crosses_both_ways(self):
        first, second = self.nodes
        self.page(first, second)
        self.join("ada")
        self.assertIn(first.id, self.one("a", ".about"))
        self.assertIn(second.id, self.one("b", ".about"))
        self.say("a", "from the first node")
        self.heard("b", "from the first node")
        self.say("b", "from the second node")
        self.heard("a", "from the second node")
        self.wait(lambda: self.all("a", ".people li") == ["ada"] == self.all("b", ".people li"), "one person, on two nodes")
        for pane in "ab":
            self.assertEqual(self.all(pane, ".message .text"), ["from the first node", "from the second node"])
            self.assertEqual(self.all(pane, ".message .from"), ["ada", "ada"])
            self.assertTrue(all(float(text.split()[0]) < 5000 for text in self.all(pane, ".message .latency")))
        self.wait(lambda: all(node.metric("warren_hub_online_events_total") for node in self.nodes), "both nodes have told the count")
        self.wait(lambda: [self.one(pane, ".count") for pane in "ab"] == ["1", "1"], "who has a pane on each node is one person")
        self.assertEqual(self.browser.console(), [], "nothing in the console: no error, nothing that the policy blocked")

    def test_names_and_texts_are_text(self):
        self.page(*self.nodes)
        self.join(EVIL, EVIL)
        self.say("a", EVIL)
        for pane in "ab":
            self.heard(pane, EVIL)
            self.assertEqual(self.all(pane, ".message .from"), [EVIL])
            self.wait(lambda pane=pane: self.all(pane, ".people li") == [EVIL], f"the name stands in pane {pane}'s list")
            self.assertIn(f"{EVIL} joined {EVIL}", self.all(pane, ".note"))
        status, _ = self.nodes[0].post("/v1/rooms/" + "%3Cimg%20src%3Dx%20onerror%3Dwindow.pwned%3D1%3E/messages",
                                       {"data": {"<b>": EVIL}, "from": "<script>window.pwned=2</script>"})
        self.assertEqual(status, 202)
        self.wait(lambda: "<script>window.pwned=2</script>" in self.all("b", ".message .from"), "the back end's message")
        self.assertEqual(self.browser.run("return document.querySelectorAll('img, .log script, .people *:not(li)').length"), 0)
        self.assertIsNone(self.browser.run("return window.pwned ?? null"))
        self.assertEqual(self.browser.console(), [])

    def test_the_policy_blocks_what_is_inline(self):
        """Were a name ever put there as markup, this would still hold."""
        self.page(*self.nodes)
        self.browser.run("""
            const script = document.createElement("script");
            script.textContent = "window.pwned = 1";
            document.body.append(script);
            document.body.insertAdjacentHTML("beforeend", arguments[0]);
            document.body.insertAdjacentHTML("beforeend", '<p id="styled" style="color: rgb(1, 2, 3)">x</p>');
            """, EVIL)
        blocked = []
        self.wait(lambda: blocked.extend(self.browser.console()) or len([b for b in blocked if "Content Security Policy" in b]) >= 3,
                  "three violations in the console")
        self.assertIsNone(self.browser.run("return window.pwned ?? null"))
        self.assertNotEqual(self.browser.run("return getComputedStyle(document.getElementById('styled')).color"), "rgb(1, 2, 3)")

    def test_another_tab_on_the_other_node(self):
        first, second = self.nodes
        self.page(first, second)
        self.join("ada")
        tab = self.browser.tab()
        self.browser.new_tab()
        self.page(second, first)
        self.join("bob")
        other = self.browser.tab()
        self.wait(lambda: self.all("a", ".people li") == ["ada", "bob"], "both are listed")
        self.browser.switch(tab)
        self.wait(lambda: self.all("a", ".people li") == ["ada", "bob"], "also on the first node")
        for line in ("one", "two", "three"):
            self.say("a", line)
        self.browser.switch(other)
        for pane in "ab":
            self.heard(pane, "three")
            self.assertEqual(self.all(pane, ".message .text"), ["one", "two", "three"])
        self.say("a", "and back")
        self.browser.do("DELETE", "/window")
        self.browser.switch(tab)
        for pane in "ab":
            self.heard(pane, "and back")
            self.wait(lambda pane=pane: self.all(pane, ".people li") == ["ada"], "who closed the tab is gone")
            self.assertEqual(self.one(pane, ".count"), "1")
        self.assertEqual(self.browser.console(), [])

    def test_a_node_that_goes_away_and_comes_back(self):
        first, second = self.nodes
        self.page(first, second)
        self.join("ada")
        second.stop()
        self.wait(lambda: self.one("b", ".state") == "reconnecting", "the pane says so")
        self.wait(lambda: self.all("a", ".people li") == ["ada"] and self.one("a", ".count") == "1", "who is on this node is still here")
        self.say("a", "still here")
        self.heard("a", "still here")
        self.start_node(port=second.port, internal=second.internal_port)
        self.wait(lambda: self.one("b", ".state") == "connected", "it comes back by itself")
        self.say("b", "here again")
        self.heard("a", "here again")

    def test_addresses_that_are_none(self):
        self.page(*self.nodes)
        self.browser.type('[data-pane="b"] .node-url', "nonsense")
        self.browser.type("#name", "ada")
        self.browser.click("#connect")
        self.wait(lambda: self.one("a", ".state") == "connected", "one pane works")
        self.assertEqual(self.one("b", ".state"), "bad address")

    def test_it_fits(self):
        """Nothing wider than the screen, the text box in sight, at any size."""
        self.page(*self.nodes)
        self.join("ada")
        for line in ("Good evening!", "A longer line, as people write them when they have something to tell about: it has to be broken somewhere.",
                     "x" * 150, "日本語もどうぞ ☕"):
            self.say("a", line)
            self.heard("b", line)
        self.nodes[1].post("/v1/rooms/lobby/messages", {"data": {"order": 17, "state": "paid"}})
        self.wait(lambda: len(self.all("a", ".message")) == 5, "the back end's message")
        for name, width, height, mobile in (("desktop", 1280, 800, False), ("laptop", 1024, 600, False), ("tablet", 820, 1180, True),
                                            ("phone", 390, 844, True), ("small", 320, 568, True)):
            self.browser.resize(width, height, mobile)
            self.wait(lambda: self.browser.run("""
                return [...document.querySelectorAll(".log")].every(l => l.scrollHeight - l.scrollTop - l.clientHeight < 2)"""),
                      "the newest message is in sight, also after the size changed")
            for scheme in ("light", "dark"):
                self.browser.prefer(scheme)
                self.keep(f"{name}-{scheme}")
            wide = self.browser.run("""
                const wide = [...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > innerWidth + 1);
                return wide.map(e => e.tagName + "." + e.className)""")
            self.assertEqual(wide, [], name)
            self.assertLessEqual(self.browser.run("return document.documentElement.scrollWidth - innerWidth"), 0, name)
            if not mobile:
                self.assertLessEqual(self.browser.run("return document.querySelector('.send').getBoundingClientRect().bottom - innerHeight"), 0,
                                     f"{name}: the composer is in sight")
            self.assertGreaterEqual(self.browser.run("return document.querySelector('.log').getBoundingClientRect().height"), 120, name)


if __name__ == "__main__":
    if webdriver.missing():
        print("skipped: not installed:", *webdriver.missing())
        sys.exit(77)
    warren.main()
