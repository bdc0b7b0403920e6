#!/usr/bin/python3
"""The demonstration page in a real browser: a live room over two nodes, on a desk and on a phone, and names that would be markup.

WARREN_TEST_SCREENSHOTS, a folder, keeps what it looked like.
"""
import os
import signal
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import warren  # noqa: E402
import webdriver  # noqa: E402

EVIL = "<img src=x onerror=window.pwned=1>"
SIZES = (("desktop", 1280, 800, False), ("laptop", 1024, 600, False), ("tablet", 820, 1180, True), ("phone", 390, 844, True),
         ("small", 320, 568, True))


browser = None  # one for all tests: to start it takes longer than most of what is done with it


def setUpModule():
    global browser
    browser = webdriver.Browser()
    unittest.addModuleCleanup(browser.close)


class Page(warren.WarrenTest):
    node_count = 2
    settings = {"listen.demo": "on", "hub.online_interval": "100ms"}
    lobby = "lobby"

    def setUp(self):
        self.browser = browser
        super().setUp()
        self.addCleanup(browser.clear)

    def page(self, here, other):
        self.browser.open(f"{here.http}/?room={self.lobby}&other={other.ws}/ws")

    def join(self, name, room=None):
        if room:
            self.browser.type("#room", room)
        room = room or self.lobby
        self.browser.type("#name", name)
        self.browser.click("#connect")
        self.wait(lambda: self.one(".state") == "connected", "connected")
        self.wait(lambda: f"{name} joined {room}" in self.all(".note"), "joined")

    def wait(self, condition, what, timeout=90):
        try:
            return warren.wait_for(condition, what, timeout)
        except AssertionError:
            print(self.browser.run("return document.body.innerText"), file=sys.stderr)
            raise

    def one(self, selector):
        return self.browser.texts(selector)[0]

    def all(self, selector):
        return self.browser.texts(selector)

    def say(self, text):
        self.browser.type(".composer .text", text)
        self.browser.click(".send")

    def number(self, selector):
        text = self.one(selector)
        return 0 if text == "–" else float(text)

    def drawn(self):
        return self.browser.run("return document.querySelector('.plot').toDataURL()")

    def flying(self, node):
        """Where a comment is; one more is said if none is in flight any more."""
        left = self.browser.run("const c = document.querySelector('.comment'); return c && c.getBoundingClientRect().left")
        if left is None:
            node.post(f"/v1/rooms/{self.lobby}/messages", {"data": {"text": "flies, too"}, "from": "bob"})
        return left

    def said(self):
        return self.all(".message .text")

    def heard(self, text):
        self.wait(lambda: text in self.said(), f"{text!r} is heard")

    def keep(self, name):
        picture = self.browser.screenshot()
        self.assertEqual(picture[:8], b"\x89PNG\r\n\x1a\n")
        folder = os.environ.get("WARREN_TEST_SCREENSHOTS")
        if folder:
            with open(os.path.join(folder, f"demo-{name}.png"), "wb") as file:
                file.write(picture)


class Demo(Page):
    """Its nodes are there for all tests, and a room for each."""

    cluster, rooms = None, 0

    def setUp(self):
        if not Demo.cluster:
            cluster = warren.WarrenTest()
            cluster.settings, cluster.addCleanup = self.settings, Demo.addClassCleanup
            cluster.setUp()
            Demo.cluster = cluster
        Demo.rooms += 1
        self.node_count, self.lobby = 0, f"lobby-{Demo.rooms}"
        super().setUp()
        self.nodes, self.broker, self.prefix = [*self.cluster.nodes], self.cluster.broker, self.cluster.prefix

    def needs_services(self):
        return False  # but what the cluster has

    def test_two_tabs_on_two_nodes(self):
        first, second = self.nodes
        self.page(first, second)
        self.join("ada")
        self.assertIn(first.id, self.browser.run("return document.querySelector('.state').title"), "the node that served the page")
        tab = self.browser.tab()
        self.browser.new_tab()
        self.page(second, first)
        self.join("bob")
        other = self.browser.tab()
        self.wait(lambda: sorted(self.all(".people li")) == ["ada", "bob"] and self.one(".count") == "2", "both are listed")
        self.say("from the second node")
        self.heard("from the second node")
        self.wait(lambda: self.number(".trip-p50") > 0, "a round trip was measured")
        self.browser.switch(tab)
        self.heard("from the second node")
        self.wait(lambda: sorted(self.all(".people li")) == ["ada", "bob"] and self.one(".count") == "2", "also on the first node")
        for line in ("one", "two", "three"):
            self.say(line)
        self.browser.switch(other)
        self.heard("three")
        self.assertEqual(self.said(), ["from the second node", "one", "two", "three"])
        self.assertEqual(self.all(".message .from"), ["bob", "ada", "ada", "ada"])
        self.assertEqual(len(self.all(".message .latency")), 1, "measured where this page's clock was at both ends")
        self.browser.do("DELETE", "/window")
        self.browser.switch(tab)
        self.wait(lambda: self.all(".people li") == ["ada"] and self.one(".count") == "1", "who closed the tab is gone")
        self.assertEqual(self.browser.console(), [], "nothing in the console: no error, nothing that the policy blocked")

    def test_a_live_room(self):
        """Comments fly, likes are counted and hearts rise, numbers and plot move; at both sizes."""
        first, second = self.nodes
        self.page(first, second)
        self.join("ada")
        likes = 0
        for name, width, height, mobile in (SIZES[0], SIZES[3]):
            self.browser.resize(width, height, mobile)
            self.browser.run("window.flown = []; window.hearts = 0; new MutationObserver(list => list.forEach(m => m.addedNodes.forEach(n => "
                             "n.nodeType !== 1 ? 0 : n.classList.contains('heart') ? window.hearts++ : window.flown.push(n.textContent))))"
                             ".observe(document.querySelector('.stage'), {subtree: true, childList: true})")
            second.post(f"/v1/rooms/{self.lobby}/messages", {"data": {"text": f"flies at {name}"}, "from": "bob"})
            self.wait(lambda name=name: f"flies at {name}" in self.browser.run("return window.flown"), "a comment flies")
            left = self.wait(lambda: self.flying(second), "a comment is in flight")
            self.wait(lambda left=left: self.browser.run(
                "const c = document.querySelector('.comment'); return !c || c.getBoundingClientRect().left < arguments[0]", left),
                "from right to left")
            self.say(f"own, {name}")
            self.heard(f"own, {name}")
            for what in ("trip", "ping"):
                self.wait(lambda what=what: self.number(f".{what}-p99") >= self.number(f".{what}-p50") > 0, f"round trips: {what}")
            for _ in range(3):
                self.browser.click(".like")
            likes += 3
            self.wait(lambda: self.one(".likes") == str(likes), "this page's likes are counted")
            self.assertGreaterEqual(self.browser.run("return window.hearts"), 3)
            drawn = self.drawn()
            self.browser.click(".chatter")
            self.wait(lambda: self.browser.run("return Math.max(...plot.seconds)") >= 2, "the plot moves")
            self.wait(lambda before=drawn: self.drawn() != before, "and is drawn")
            self.keep(f"live-{name}")
            self.browser.click(".chatter")
        self.say("the last word")  # behind what the chatter said until now
        self.heard("the last word")
        said = self.said()[-30:]
        self.browser.open(f"{second.http}/?room={self.lobby}&name=bob")
        self.wait(lambda: self.said() == said, "a newcomer, on the other node, gets what was said before")
        self.wait(lambda: self.one(".likes") == str(likes), "and the likes")
        self.assertEqual(self.browser.run("return stage.skipped + document.querySelectorAll('.comment').length"), 0, "which does not fly")
        self.assertEqual(self.browser.console(), [])

    def test_a_flood_costs_no_more_than_a_full_picture(self):
        self.page(*self.nodes)
        self.join("ada")
        self.browser.run("for (let i = 0; i < 1000; i++) stage.fly('x'.repeat(i % 60), false); stage.hearts(1e6); stage.hearts(1e6);"
                         "for (let i = 0; i < 1000; i++) onMessage({from: 'x', time: 0, channel: 'room:' + room, data: i})")
        self.assertLess(self.browser.run("return document.querySelectorAll('.comment, .heart').length"), 120)
        self.assertLessEqual(self.browser.run("return document.querySelector('.log').childElementCount"), 300)

    def test_a_flood_lays_the_page_out_once(self):
        """Not once for each message: that is what a page in a busy room has to spend its time on otherwise."""
        self.page(*self.nodes)
        self.join("ada")
        asked = self.browser.run("""
            const log = document.querySelector('.log'), height = Object.getOwnPropertyDescriptor(Element.prototype, 'scrollHeight').get;
            let asked = 0;
            Object.defineProperty(log, 'scrollHeight', { get() { asked++; return height.call(this); } });
            for (let i = 0; i < 1000; i++) onMessage({from: 'x', time: 0, channel: 'room:' + room, data: {text: 'text ' + i}});
            return asked""")
        self.assertLess(asked, 10)
        self.wait(lambda: self.browser.run("const l = document.querySelector('.log'); return l.scrollHeight - l.scrollTop - l.clientHeight < 2"),
                  "the newest one is in sight")

    def test_the_newest_is_followed_until_the_reader_scrolls(self):
        """Whenever the event of an earlier scrolling comes: after an entry and before its frame, after a new layout."""
        self.page(*self.nodes)
        self.join("ada")
        self.browser.run("""
            window.log = document.querySelector('.log');
            window.atEnd_ = () => log.scrollHeight - log.scrollTop - log.clientHeight < 2;
            window.speak = (text) => onMessage({from: 'x', time: 0, channel: 'room:' + room, data: {text}});
            for (let i = 0; i < 60; i++) speak('text ' + i)""")
        self.wait(lambda: self.browser.run("return log.scrollTop > 0 && atEnd_()"), "the newest one is in sight")
        self.browser.run("speak('long '.repeat(400)); log.dispatchEvent(new Event('scroll'))")
        self.wait(lambda: self.browser.run("return atEnd_()"), "the long one is followed")
        self.browser.run("new ResizeObserver(() => log.dispatchEvent(new Event('scroll'))).observe(log)")
        for name, width, height, mobile in SIZES:
            self.browser.resize(width, height, mobile)
            # also that the page has seen it: a reader's scrolling before that is taken for the layout's
            self.wait(lambda: self.browser.run("return size === `${log.clientWidth} ${log.clientHeight}` && atEnd_()"), f"followed: {name}")
        self.browser.run("log.scrollTop = log.scrollHeight / 2")
        self.wait(lambda: self.browser.run("return log.classList.contains('reading')"), "the reader has scrolled up")
        place = """
            const top = log.getBoundingClientRect().top;
            window.read = window.read || [...log.children].find(e => e.getBoundingClientRect().top >= top);
            return read.getBoundingClientRect().top - top"""
        before = self.browser.run(place)
        self.browser.run("for (let i = 0; i < 260; i++) speak('later ' + i)")  # the oldest are taken away above the reader
        self.assertEqual(self.browser.run("return log.childElementCount"), 300)
        self.wait(lambda: abs(self.browser.run(place) - before) < 2, "nothing moves under the reader")
        self.browser.run("log.scrollTop = log.scrollHeight")
        self.wait(lambda: self.browser.run("return !log.classList.contains('reading')"), "back at the end")
        self.browser.run("speak('long '.repeat(400))")
        self.wait(lambda: self.browser.run("return atEnd_()"), "and followed again")

    def test_who_is_here_follows_the_events(self):
        """No question for each who leaves; one if an event did not come, and none where nobody is named."""
        self.page(*self.nodes)
        self.join("ada")
        self.wait(lambda: self.all(".people li") == ["ada"], "the list is there")
        self.browser.run("""
            window.asked = 0;
            client.close(); // what really happens is not heeded any more
            clearTimeout(peopleTimer);
            peopleTimer = 0;
            client = {state: 'open', close() {}, request: (op) => op === 'online' ? (window.asked++, Promise.resolve({count: 2, users: ['ada', 'zoe']})) : Promise.reject({})};
            onOnline({room, count: 3, joined: ['bob', 'eve'], left: [], more: 0});
            onOnline({room, count: 2, joined: [], left: ['bob'], more: 0})""")
        self.assertEqual(self.all(".people li"), ["ada", "eve"])
        self.assertEqual(self.browser.run("return window.asked + (peopleTimer ? 1 : 0)"), 0)
        self.browser.run("onOnline({room, count: 2, joined: [], left: ['gone'], more: 0}); onOnline({room, count: 4, joined: [], left: [], more: 2})")
        self.wait(lambda: self.all(".people li") == ["ada", "zoe"], "asked, since two were not named")
        self.assertEqual(self.browser.run("return window.asked"), 1)

    def test_by_keyboard(self):
        first, second = self.nodes
        self.page(first, second)
        self.browser.run("document.querySelector('#name').focus()")
        self.join("ada")
        self.wait(lambda: self.browser.run("return document.activeElement.matches('.composer .text')"), "who has joined may speak at once")
        self.browser.click(".where")
        self.assertEqual(self.browser.run("return [document.activeElement.id, document.querySelector('.where').ariaExpanded]"), ["room", "true"])
        self.browser.run("document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {key: 'Escape', bubbles: true}))")
        self.assertEqual(self.browser.run("return [document.activeElement.className, document.querySelector('.where').ariaExpanded]"), ["where", "false"])
        self.assertEqual(self.browser.run("return document.title"), f"{self.lobby} – Warren")

    def test_nothing_moves_for_those_who_do_not_want_it(self):
        self.browser.do("POST", "/goog/cdp/execute", {"cmd": "Emulation.setEmulatedMedia", "params": {
            "features": [{"name": "prefers-reduced-motion", "value": "reduce"}]}})
        self.page(*self.nodes)
        self.join("ada")
        self.say("quietly")
        self.heard("quietly")
        self.browser.click(".like")
        self.wait(lambda: self.one(".likes") == "1", "it is counted")
        self.assertEqual(self.browser.run("return [document.getAnimations().length, document.querySelectorAll('.comment, .heart').length]"), [0, 0])

    def test_names_and_texts_are_text(self):
        self.page(*self.nodes)
        self.join(EVIL, EVIL)
        self.say(EVIL)
        self.heard(EVIL)
        self.assertEqual(self.all(".message .from"), [EVIL])
        self.assertEqual((self.one(".room-name"), self.one(".own-name")), (EVIL, EVIL))
        self.wait(lambda: self.all(".people li") == [EVIL], "the name stands in the list")
        status, _ = self.nodes[0].post("/v1/rooms/" + "%3Cimg%20src%3Dx%20onerror%3Dwindow.pwned%3D1%3E/messages",
                                       {"data": {"<b>": EVIL}, "from": "<script>window.pwned=2</script>"})
        self.assertEqual(status, 202)
        self.wait(lambda: "<script>window.pwned=2</script>" in self.all(".message .from"), "the back end's message")
        self.assertEqual(self.browser.run("return document.querySelectorAll('img, .log script, .flight *:not(.comment), .people *:not(li)').length"), 0)
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

    def test_a_node_of_before_likes(self):
        self.page(*self.nodes)
        self.join("ada")
        self.browser.run("client.request = (op) => Promise.reject(Object.assign(new Error('no'), { code: 'unknown_op' }))")
        self.browser.click(".like")
        self.wait(lambda: self.browser.run("return document.querySelector('.like').disabled"), "it is not offered any more")
        self.say("the rest goes on")
        self.heard("the rest goes on")

    def test_closed_for_good(self):
        """One session a user on this node: the page is told so, does not come back, and offers to join again."""
        node = self.start_node(settings={"limits.sessions_per_user": "1"})
        self.page(node, node)
        self.join("ada")
        self.browser.new_tab()
        self.page(node, node)
        self.browser.type("#name", "ada")
        self.browser.click("#connect")
        self.wait(lambda: self.one(".state").startswith("closed: 4505"), "it says so")
        self.assertTrue(self.browser.run("return !document.querySelector('#join').hidden"))
        self.browser.type("#name", "bob")
        self.browser.click("#connect")
        self.wait(lambda: self.one(".state") == "connected", "under another name")

    def test_a_link_joins(self):
        self.browser.open(f"{self.nodes[0].http}/?room={self.lobby}&name=ada")
        self.wait(lambda: f"ada joined {self.lobby}" in self.all(".note"), "joined")

    def test_it_fits(self):
        """Nothing wider than the screen, the text box and the newest message in sight, at any size."""
        self.page(*self.nodes)
        for name, width, height, mobile in SIZES:
            self.browser.resize(width, height, mobile)
            self.keep(f"gate-{name}")
            self.assertTrue(self.browser.run("""
                const join = document.querySelector("#connect").getBoundingClientRect(), stage = document.querySelector(".stage").getBoundingClientRect();
                return join.top >= stage.top && join.bottom <= stage.bottom && join.right <= innerWidth"""), f"{name}: the button to join is in sight")
        self.join("ada")
        for line in ("Good evening!", "A longer line, as people write them when they have something to tell about: it has to be broken somewhere.",
                     "x" * 150, "日本語もどうぞ ☕"):
            self.say(line)
            self.heard(line)
        self.nodes[1].post(f"/v1/rooms/{self.lobby}/messages", {"data": {"order": 17, "state": "paid"}})
        self.wait(lambda: len(self.said()) == 5, "the back end's message")
        for name, width, height, mobile in SIZES:
            self.browser.resize(width, height, mobile)
            self.wait(lambda: self.browser.run("""
                const l = document.querySelector(".log");
                return l.scrollHeight - l.scrollTop - l.clientHeight < 2"""), "the newest message is in sight, also after the size changed")
            for scheme in ("light", "dark"):
                self.browser.prefer(scheme)
                self.keep(f"{name}-{scheme}")
            wide = self.browser.run("""
                const wide = [...document.querySelectorAll("body *:not(.comment, .picture *, .heart, .heart *)")]
                    .filter(e => e.getBoundingClientRect().right > innerWidth + 1);
                return wide.map(e => e.tagName + "." + e.className)""")
            self.assertEqual(wide, [], name)
            self.assertLessEqual(self.browser.run("return document.documentElement.scrollWidth - innerWidth"), 0, name)
            self.assertLessEqual(self.browser.run("return document.documentElement.scrollHeight - innerHeight"), 0, name)
            self.assertLessEqual(self.browser.run("return document.querySelector('.send').getBoundingClientRect().bottom - innerHeight"), 0,
                                 f"{name}: the composer is in sight")
            self.assertGreaterEqual(self.browser.run("return document.querySelector('.log').getBoundingClientRect().height"), 80, name)
            if mobile:
                small = self.browser.run("""
                    return [...document.querySelectorAll("button, .composer input")].filter(e => e.offsetParent && e.closest(".composer"))
                        .map(e => e.getBoundingClientRect()).filter(r => r.height < 36 || r.width < 36).length""")
                self.assertEqual(small, 0, f"{name}: fingers hit them")


class Ends(Page):
    """Nodes that end."""

    def test_its_node_drains_and_the_next_one_dies(self):
        """The page goes on with the other node, hears what was said meanwhile, and what it says meanwhile is said once."""
        first, second = self.nodes
        self.page(first, second)
        self.join("ada")
        self.say("before")
        self.heard("before")
        first.signal(signal.SIGTERM)
        self.wait(lambda: f"Now on node {second.id}." in self.all(".note"), "it moves on")
        self.assertTrue(any(n.startswith("This node ends; moving on in ") for n in self.all(".note")))
        self.say("on the other node")
        self.heard("on the other node")
        first.process.wait(60)
        again = self.start_node(port=first.port, internal=first.internal_port)
        second.kill()
        again.post(f"/v1/rooms/{self.lobby}/messages", {"data": "meanwhile", "from": "bob"})
        self.browser.run("say('said in between')")
        self.wait(lambda: self.one(".state") == "connected" and self.one(".state") and "said in between" in self.said(), "it is back")
        self.assertEqual(sorted(self.said()), sorted(["before", "on the other node", "meanwhile", "said in between"]), "each once")

    def test_addresses_that_are_none(self):
        node = self.nodes[0]
        self.browser.open(f"{node.http}/?room={self.lobby}&other=ftp://nowhere/")
        self.join("ada")
        node.kill()
        self.wait(lambda: self.one(".state") == "reconnecting", "it says so")
        self.start_node(port=node.port, internal=node.internal_port)
        self.wait(lambda: self.one(".state") == "connected", "and goes on when it can")


if __name__ == "__main__":
    if webdriver.missing():
        print("skipped: not installed:", *webdriver.missing())
        sys.exit(77)
    warren.main()
