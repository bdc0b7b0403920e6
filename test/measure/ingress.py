#!/usr/bin/python3
"""How fast a node reads the ingress queue, and what the archive adds: fills the queue, starts a node, waits until the queue is empty.

    test/measure/ingress.py [MESSAGES] [ROOMS]        needs the environment of an integration test; WARREN_BIN names a release build
"""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import pika  # noqa: E402
import warren  # noqa: E402

import time  # noqa: E402


def fill(broker, count, rooms, together):
    with broker.channel() as channel:
        channel.exchange_declare("warren.ingress", "direct", durable=True)
        channel.queue_declare("warren.ingress", durable=True, arguments={"x-single-active-consumer": True})
        channel.queue_bind("warren.ingress", "warren.ingress", "")
    connection = broker.connect()
    channel = connection.channel()
    for first in range(0, count, together):
        items = [{"room": str(n % rooms), "from": "shop", "data": {"n": n, "text": "x" * 160}} for n in range(first, min(first + together, count))]
        channel.basic_publish("warren.ingress", "", json.dumps(items if together > 1 else items[0]).encode(),
                              pika.BasicProperties(message_id=f"m-{first}", app_id="shop", delivery_mode=2))
    connection.close()


def run(count, rooms, together, archive):
    broker = warren.Broker()
    try:
        fill(broker, count, rooms, together)
        node = warren.Node({"amqp.url": broker.url, "redis.url": warren.REDIS_URL, "redis.prefix": f"measure-{os.getpid()}-{together}-{archive}:",
                            "amqp.archive": archive, "loop.workers": "1"})
        node.start(ready=False)
        node.wait_listening()
        begun = None
        while node.metric("warren_ingress_messages_total", result="ok") < count:
            if begun is None and node.metric("warren_ingress_messages_total", result="ok") > 0:
                begun, at, cpu = time.monotonic(), node.metric("warren_ingress_messages_total", result="ok"), node.metric("warren_process_cpu_seconds_total")
            time.sleep(0.02)  # between two looks
        seconds, used = time.monotonic() - begun, node.metric("warren_process_cpu_seconds_total") - cpu
        print(f"{together:3} a body, archive {archive:3}: {(count - at) / seconds:8.0f} messages/s, {used / (count - at) * 1e5:5.2f} CPU s of the node "
              f"for 100,000 ({count} messages, {rooms} rooms)")
        node.stop()
    finally:
        broker.close()


if __name__ == "__main__":
    MESSAGES = int(sys.argv[1]) if len(sys.argv) > 1 else 60000
    ROOMS = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    for size in (1, 32):
        for word in ("no", "yes"):
            run(MESSAGES, ROOMS, size, word)
