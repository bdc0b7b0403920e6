"""A private RabbitMQ and Redis that may be killed, frozen and started again (scripts/services), and a wire that may be cut."""
import os
import re
import socket
import subprocess
import tempfile
import threading

import warren

RABBITMQ_SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server"
SCRIPT = os.path.join(warren.TOP, "scripts", "services")


class Services:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="warren-services-")
        self.states = {}
        self.run("start", self.folder)
        with open(os.path.join(self.folder, "env"), encoding="utf-8") as file:
            values = dict(re.findall(r"(\w+)=(\S+)", file.read()))
        self.amqp_url = values["WARREN_AMQP_URL"]
        self.management_url = values["WARREN_AMQP_MANAGEMENT_URL"]
        self.redis_url = values["WARREN_REDIS_URL"]
        self.states = {"rabbitmq": "up", "redis": "up"}

    def run(self, *arguments):
        result = subprocess.run([SCRIPT, *arguments], capture_output=True, timeout=120, text=True, check=False)
        if result.returncode:
            raise AssertionError(f"scripts/services {' '.join(arguments)}: {result.returncode}\n{result.stdout}{result.stderr}")
        return result.stdout

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
