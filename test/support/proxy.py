"""A TCP relay between a node and a service, that can go silent, delay, deafen one direction, be cut, or hold back what AMQP says.

On the event loop of its owner; every link is a node's connection and the service's behind it. A link that is held keeps both its ends, whatever
becomes of either, as a network does that has lost its way: who closes is not heard until the link is let go.
"""
import asyncio
import struct

import warren

# AMQP 0-9-1 methods that are told apart: class and method id.
BASIC_CONSUME, BASIC_PUBLISH, BASIC_ACK = (60, 20), (60, 40), (60, 80)


class Pump:
    """One direction of a link. What is read waits for the gate, then for the delay."""

    def __init__(self, link, reader, writer):
        self.link, self.reader, self.writer = link, reader, writer
        self.gate = asyncio.Event()
        self.gate.set()
        self.filter = None

    async def run(self):
        queue = asyncio.Queue(64)
        emptying = asyncio.create_task(self.empty(queue))
        loop = asyncio.get_running_loop()
        try:
            while data := await self.reader.read(65536):
                await queue.put((loop.time() + self.delay(), data))
        except OSError:
            pass
        await queue.put((loop.time() + self.delay(), b""))
        await emptying

    def delay(self):
        return self.link.proxy.delay_s if self is self.link.down else 0

    async def empty(self, queue):
        loop = asyncio.get_running_loop()
        while True:
            due, data = await queue.get()
            if due > loop.time():
                await asyncio.sleep(due - loop.time())
            await self.gate.wait()
            if not data:
                break
            if self.filter:
                data = self.filter(data)
            if self.writer.transport.is_closing():
                continue
            try:
                self.writer.write(data)
                await self.writer.drain()
            except OSError:
                pass
        try:
            if self.writer.can_write_eof():
                self.writer.write_eof()
        except OSError:
            pass


class Frames:
    """Reads what a node says to a broker, frame by frame; drops the methods that are to be dropped."""

    def __init__(self, link):
        self.link = link
        self.buffer = b""
        self.has_greeted = False
        self.dropping = set()

    def __call__(self, data):
        self.buffer += data
        out = b""
        if not self.has_greeted and len(self.buffer) >= 8:
            self.has_greeted = True
            out, self.buffer = self.buffer[:8], self.buffer[8:]
        while self.has_greeted and len(self.buffer) >= 7:
            kind, _, size = struct.unpack("!BHI", self.buffer[:7])
            if len(self.buffer) < size + 8:
                break
            frame, self.buffer = self.buffer[:size + 8], self.buffer[size + 8:]
            method = struct.unpack("!HH", frame[7:11]) if kind == 1 else None
            if method:
                self.link.methods.add(method)
            if method == BASIC_CONSUME:  # a reserved short, then the queue's name
                self.link.queue = frame[14:14 + frame[13]].decode()
            if method not in self.dropping:
                out += frame
        return out


class Link:
    def __init__(self, proxy, near, far):
        self.proxy = proxy
        self.writers = (near[1], far[1])
        self.up, self.down = Pump(self, near[0], far[1]), Pump(self, far[0], near[1])
        self.methods, self.queue = set(), ""
        self.frames = None
        if proxy.is_amqp:
            self.frames = self.up.filter = Frames(self)

    @property
    def is_consumer(self):
        """Of a node's own queue."""
        return ".node." in self.queue

    @property
    def is_publisher(self):
        return BASIC_PUBLISH in self.methods and BASIC_CONSUME not in self.methods

    def hold(self, up=True, down=True):
        if up:
            self.up.gate.clear()
        if down:
            self.down.gate.clear()

    def release(self):
        self.up.gate.set()
        self.down.gate.set()

    def abort(self):
        self.release()
        for writer in self.writers:
            writer.transport.abort()

    async def run(self):
        await asyncio.gather(self.up.run(), self.down.run())
        for writer in self.writers:
            writer.close()


class Proxy:
    """await start() first. While silent, newcomers are let in and hear nothing."""

    def __init__(self, port, is_amqp=False):
        self.target = port
        self.port = warren.free_port()
        self.is_amqp = is_amqp
        self.links = []
        self.waiting = []
        self.delay_s = 0
        self.is_silent = False
        self.tasks = set()
        self.server = None

    async def start(self):
        self.server = await asyncio.start_server(self.accept, "127.0.0.1", self.port)

    async def accept(self, reader, writer):
        self.tasks.add(asyncio.current_task())
        try:
            if self.is_silent:
                self.waiting.append(writer)
                await reader.read()  # whatever it says, until it gives up
                return
            far = await asyncio.open_connection("127.0.0.1", self.target)
        except (OSError, asyncio.CancelledError):
            writer.transport.abort()
            return
        finally:
            self.tasks.discard(asyncio.current_task())
        link = Link(self, (reader, writer), far)
        self.links.append(link)
        task = asyncio.current_task()
        self.tasks.add(task)
        try:
            await link.run()
        except asyncio.CancelledError:
            link.abort()
        finally:
            self.tasks.discard(task)
            self.links.remove(link)

    def silence(self):
        """Nothing passes, nothing is closed, and newcomers are not answered."""
        self.is_silent = True
        for link in self.links:
            link.hold()

    def forget(self):
        """Newcomers pass again; what was held stays held, as behind a router that lost its table."""
        self.is_silent = False
        for writer in self.waiting:
            writer.transport.abort()
        self.waiting = []

    def mend(self):
        """All of it passes again, what was held first."""
        self.forget()
        for link in self.links:
            link.release()

    async def cut(self):
        """Every connection is reset, and newcomers are refused until start()."""
        if self.server:
            self.server.close()
            self.server = None
        self.abort()

    def abort(self):
        for writer in self.waiting:
            writer.transport.abort()
        self.waiting = []
        for link in list(self.links):
            link.abort()

    async def close(self):
        await self.cut()
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
