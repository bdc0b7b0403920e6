"""A private RabbitMQ and Redis that may be killed, frozen and started again (scripts/services), and a wire that may be cut."""
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import unittest

import warren

RABBITMQ_SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server"
SCRIPT = os.path.join(warren.TOP, "scripts", "services")


def end_all(*_):
    """They are in sessions of their own: whoever is ended by a signal ends them first."""
    for each in list(Services.living):
        each.stop()
    os._exit(130)


def end_them_on_sigterm():
    """For the main thread; those that other threads start as well."""
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, end_all)


class Services:
    living = []

    def __init__(self):
        if threading.current_thread() is threading.main_thread():
            end_them_on_sigterm()
        self.living.append(self)
        self.folder = tempfile.mkdtemp(prefix="warren-services-")
        self.states = {}
        self.is_busy = threading.Lock()  # one thing at a time: what is just being started is not stopped before it can be
        try:
            self.run("start", self.folder)
        except BaseException:
            self.stop()
            raise
        with open(os.path.join(self.folder, "env"), encoding="utf-8") as file:
            values = dict(re.findall(r"(\w+)=(\S+)", file.read()))
        self.amqp_url = values["WARREN_AMQP_URL"]
        self.management_url = values["WARREN_AMQP_MANAGEMENT_URL"]
        self.redis_url = values["WARREN_REDIS_URL"]
        self.states = {"rabbitmq": "up", "redis": "up"}

    def run(self, *arguments):
        is_mine = self.is_busy.acquire(timeout=60)
        try:
            return self.run_script(*arguments)
        finally:
            if is_mine:
                self.is_busy.release()

    @staticmethod
    def run_script(*arguments):
        # Into files: whoever reads a pipe to its end waits for everybody who holds it, grandchildren too, whatever the time-out says.
        with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
            process = subprocess.Popen([SCRIPT, *arguments], stdout=output, stderr=errors, stdin=subprocess.DEVNULL, start_new_session=True)
            try:
                code = process.wait(300)
            except subprocess.TimeoutExpired:
                code = "not within 300 s"
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
            output.seek(0)
            errors.seek(0)
            out, err = output.read(), errors.read()
        if code:
            raise AssertionError(f"scripts/services {' '.join(arguments)}: {code}\n{out}{err}")
        return out

    def change(self, verb, service, state):
        self.run(verb, service, self.folder)
        self.states[service] = state

    def kill(self, service):
        self.change("kill", service, "dead")

    def start(self, service):
        self.change("start", service, "up")

    def freeze(self, service):
        self.change("freeze", service, "frozen")

    def thaw(self, service):
        self.change("thaw", service, "up")

    def alarm(self, is_on):
        """The broker's memory alarm, which blocks its publishers."""
        self.run("alarm", "on" if is_on else "off", self.folder)

    def rabbitmqctl(self, *arguments):
        return self.run("rabbitmqctl", self.folder, *arguments)

    def heal(self):
        """Whatever a test left."""
        for service, state in self.states.items():
            if state == "frozen":
                self.thaw(service)
            elif state == "dead":
                self.start(service)

    def stop(self):
        self.run("stop", self.folder)
        if self in self.living:
            self.living.remove(self)


class Wire:
    """A TCP relay to one port. Cut, its connections are reset and new ones refused, until it is mended."""

    def __init__(self, port):
        self.target = port
        self.port = warren.free_port()
        self.lock = threading.Lock()
        self.ends = []
        self.listener = None
        self.mend()

    def mend(self):
        listener = socket.create_server(("127.0.0.1", self.port))
        with self.lock:
            self.listener = listener
        threading.Thread(target=self.accept, args=(listener,), daemon=True).start()

    def cut(self):
        with self.lock:
            listener, self.listener = self.listener, None
            ends, self.ends = self.ends, []
        for end in [listener, *ends] if listener else []:
            try:
                end.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for it, which closes it
            except OSError:
                pass
            end.close()

    def accept(self, listener):
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self.target), 5)
            except OSError:
                near.close()
                continue
            with self.lock:
                is_cut = self.listener is not listener
                self.ends += [near, far] if not is_cut else []
            if is_cut:
                near.close()
                far.close()
                return
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self.relay, args=(source, sink), daemon=True).start()

    @staticmethod
    def relay(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Redis:
    """A Redis of one's own. kept: it writes everything down at once, and comes back with it; else it comes back with what save() wrote."""

    def __init__(self, kept=False):
        self.port = warren.free_port()
        self.folder = tempfile.TemporaryDirectory(prefix="warren-redis-")
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.kept = kept
        self.process = None

    def start(self):
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.folder.name, "--save", "", "--maxmemory-policy",
             "noeviction", "--appendonly", "yes" if self.kept else "no", "--appendfsync", "always"], stdout=subprocess.DEVNULL)
        warren.wait_for(self.answers, "redis answers")
        return self

    def answers(self):
        try:
            return self.command("PING") == "PONG"
        except OSError:
            return False

    def command(self, *words):
        with socket.create_connection(("127.0.0.1", self.port), 30) as s:
            s.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in (str(w).encode() for w in words)))
            with s.makefile("rb") as file:
                return self.reply(file)

    def reply(self, file):
        line = file.readline()
        kind, rest = line[:1], line[1:-2].decode()
        if kind in (b"+", b":"):
            return rest if kind == b"+" else int(rest)
        if kind == b"$":
            return None if rest == "-1" else file.read(int(rest) + 2)[:-2].decode(errors="replace")
        if kind == b"*":
            return None if rest == "-1" else [self.reply(file) for _ in range(int(rest))]
        raise OSError(rest or "no answer")

    def save(self):
        self.command("SAVE")

    def forget(self):
        """What was written down is gone; before start()."""
        for name in os.listdir(self.folder.name):
            path = os.path.join(self.folder.name, name)
            if os.path.isdir(path):
                shutil.rmtree(path)
            else:
                os.remove(path)

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def close(self):
        self.kill()
        self.folder.cleanup()


class OwnServices:
    """Beside a WarrenTest: the class has a broker and a store of its own, which its tests break on purpose; each finds them whole."""

    @classmethod
    def setUpClass(cls):
        if not os.path.exists(RABBITMQ_SERVER):
            raise unittest.SkipTest("no RabbitMQ is installed")
        super().setUpClass()
        cls.services = Services()
        cls.addClassCleanup(cls.services.stop)
        for name, value in (("AMQP_URL", cls.services.amqp_url), ("MANAGEMENT_URL", cls.services.management_url),
                            ("REDIS_URL", cls.services.redis_url)):
            cls.addClassCleanup(setattr, warren, name, getattr(warren, name))
            setattr(warren, name, value)

    def setUp(self):
        super().setUp()
        self.addCleanup(self.services.heal)  # before the virtual host is deleted
