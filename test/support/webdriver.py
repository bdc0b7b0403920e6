"""A browser by the W3C WebDriver protocol, spoken over HTTP as it is written: headless Chromium through its own driver."""
import base64
import json
import os
import shutil
import signal
import subprocess
import tempfile
import urllib.error
import urllib.request

import warren

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key of an element reference (WebDriver section 12.3)
FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--window-size=1280,820"]


def missing():
    """What of it is not installed."""
    return [name for name in ("chromium", "chromedriver") if not shutil.which(name)]


class Browser:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="warren-browser-")
        self.session = None
        port = warren.free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.process = subprocess.Popen(
            ["chromedriver", f"--port={port}"], start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"], "HOME": self.folder, "LANG": "C.UTF-8", "TMPDIR": self.folder})
        try:
            warren.wait_for(self.is_up, "chromedriver answers")
            options = {"binary": shutil.which("chromium"), "args": [*FLAGS, f"--user-data-dir={self.folder}/profile"]}
            self.session = self.call("POST", "/session", {"capabilities": {"alwaysMatch": {
                "browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"},
                "timeouts": {"script": 200000, "pageLoad": 200000}}}})["sessionId"]
        except BaseException:
            self.close()
            raise

    def is_up(self):
        try:
            return self.call("GET", "/status")["ready"]
        except OSError:
            return False

    def call(self, method, path, body=None):
        data = json.dumps(body if body is not None else {}).encode() if method == "POST" else None
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=240) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.read().decode()[:500]}") from None

    def do(self, method, path, body=None):
        return self.call(method, f"/session/{self.session}{path}", body)

    def open(self, url):
        self.do("POST", "/url", {"url": url})

    def new_tab(self):
        self.switch(self.do("POST", "/window/new", {"type": "tab"})["handle"])

    def clear(self):
        """Nothing is left of what was open: another tab, with its own size and media, an empty console, and nothing that was stored."""
        old = self.do("GET", "/window/handles")
        self.new_tab()
        new = self.tab()
        for handle in old:
            self.switch(handle)
            self.do("DELETE", "/window")
        self.switch(new)
        self.do("POST", "/goog/cdp/execute", {"cmd": "Storage.clearDataForOrigin", "params": {"origin": "*", "storageTypes": "all"}})
        self.do("POST", "/goog/cdp/execute", {"cmd": "Network.clearBrowserCache", "params": {}})
        self.console()

    def tab(self):
        return self.do("GET", "/window")

    def switch(self, handle):
        self.do("POST", "/window", {"handle": handle})

    def find(self, selector):
        return self.do("POST", "/element", {"using": "css selector", "value": selector})[ELEMENT]

    def click(self, selector):
        self.do("POST", f"/element/{self.find(selector)}/click")

    def type(self, selector, text):
        """As a person would: what was there is replaced."""
        element = self.find(selector)
        self.do("POST", f"/element/{element}/clear")
        self.do("POST", f"/element/{element}/value", {"text": text})

    def run(self, script, *arguments):
        """The value that a function body returns in the page."""
        return self.do("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def texts(self, selector):
        return self.run("return [...document.querySelectorAll(arguments[0])].map(e => e.textContent)", selector)

    def console(self):
        """What the console got since the last look."""
        return [f"{entry['level']}: {entry['message']}" for entry in self.do("POST", "/se/log", {"type": "browser"})]

    def resize(self, width, height, mobile=False):
        """The page's own size, to a pixel; narrower than a window may be. The page has it when this returns, if perhaps not seen it."""
        self.do("POST", "/goog/cdp/execute", {"cmd": "Emulation.setDeviceMetricsOverride", "params": {
            "width": width, "height": height, "deviceScaleFactor": 2 if mobile else 1, "mobile": mobile}})
        warren.wait_for(lambda: self.run("return [innerWidth, innerHeight]") == [width, height], f"{width} by {height} pixels")

    def prefer(self, scheme):
        self.do("POST", "/goog/cdp/execute", {"cmd": "Emulation.setEmulatedMedia", "params": {
            "features": [{"name": "prefers-color-scheme", "value": scheme}]}})

    def screenshot(self):
        return base64.b64decode(self.do("GET", "/screenshot"))

    def close(self):
        try:
            if self.session:
                self.call("DELETE", f"/session/{self.session}")
        finally:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)  # the driver and all that is of it
            except ProcessLookupError:
                pass
            self.process.wait()
            shutil.rmtree(self.folder, ignore_errors=True)
