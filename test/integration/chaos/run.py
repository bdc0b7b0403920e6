#!/usr/bin/python3
"""Breaks things on purpose under a steady stream of numbered messages, and judges what every client heard.

    run.py [--short | --full] [FAULT or GROUP…]     those faults; none: all
    run.py --list
    run.py --check [FAULT or GROUP…]                whether there are such

Environment as for the other tests (test/support/warren.py).
"""
import asyncio
import copy
import faulthandler
import gc
import os
import signal
import sys
import threading
import time
import traceback

FOLDER = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, FOLDER)
sys.path.insert(0, os.path.join(FOLDER, "..", "..", "support"))
import faults  # noqa: E402
import faults_broker  # noqa: E402, F401
import faults_clients  # noqa: E402, F401
import faults_nodes  # noqa: E402, F401
import faults_presence  # noqa: E402, F401
import faults_store  # noqa: E402, F401
import fleet as fleets  # noqa: E402
import report as reports  # noqa: E402
import services  # noqa: E402
import warren  # noqa: E402
import world as worlds  # noqa: E402


# What the short form allows on top: it runs beside other tests, on machines that are busy with them. The full form measures.
BUSY_S = 8


class Watchdog:
    """Whatever hangs, even in a thread: after so long all stacks are shown, and what was started is ended."""

    def __init__(self, seconds, what, world):
        self.timer = threading.Timer(seconds, self.bark, (seconds, what, world))
        self.timer.daemon = True
        self.timer.start()

    @staticmethod
    def bark(seconds, what, world):
        print(f"FAILED  {what}: it hung for {seconds} s", flush=True)
        faulthandler.dump_traceback(file=sys.stdout, all_threads=True)
        for node in world.nodes + world.spare:
            node.kill()
        if world.redis:
            world.redis.kill()
        if world.services:
            world.services.stop()
        os._exit(3)

    def stop(self):
        self.timer.cancel()


async def run_fault(fault, is_full, shared):
    began = time.monotonic()
    scale = copy.copy(worlds.FULL if is_full else worlds.SHORT)
    vars(scale).update(fault.scale)
    world = worlds.World(scale, is_full, shared if fault.needs_services else None)
    errors, verdict = [], None
    watchdog = Watchdog(300 + fault.takes if is_full else 300, fault.name, world)
    try:
        await world.build(fault.settings, fault.patience, fault.kept, fault.has_ways)
        await world.populate(fault.sender or fleets.Sender)
        if fault.prepare:
            await fault.prepare(world)
        await world.begin()
        await fault.act(world)
        await world.finish()
        if fault.check:
            await fault.check(world)
    except Exception:  # whatever a fault's assertions say, the rest is judged and taken down all the same
        errors.append(traceback.format_exc())
    except BaseException:
        await world.close()
        raise
    if world.fleet and not errors:
        verdict = world.fleet.ledger.judge(fault.rules)
        errors += verdict.errors + world.fleet.troubles
    result = reports.Report(fault.name, world, verdict, errors, time.monotonic() - began)
    if verdict:
        if not verdict.counts["deliveries"] or not verdict.counts["accepted"]:
            errors.append("nothing was sent or heard")
        if not fault.store_away and result.in_time < (0.95 if is_full else 0.9):
            errors.append(f"only {result.in_time * 100:.1f} % of the sends were accepted within 5 s")
        # A killed node's lease ends, and the others have looked and swept; anything else is a matter of a second or so.
        limit = 6 * 4 / 3 + 2.5 if is_full else 3 * 4 / 3 + 2.5 + BUSY_S
        if not fault.store_away and verdict.latest > limit:
            errors.append(f"heard {verdict.latest:.1f} s after it was accepted, not within {limit:.1f}: {verdict.latest_what}")
        limit = (3.3 if warren.is_sanitized() else 1.5) + (0 if is_full else BUSY_S)
        if fault.group == "broker" and reports.percentile(result.during, 0.99) > limit:
            errors.append(f"without the broker one message in a hundred took longer than {limit} s: {result.delay('during')} ms")
        limit = (4 if warren.is_sanitized() else 2) + (0 if is_full else BUSY_S)
        if fault.group in ("broker", "way") and result.normal_after is not None and result.normal_after > limit:
            errors.append(f"normal again {result.normal_after:.1f} s after the broker answered, not within {limit} s")
        if fault.stays and result.moved:
            errors.append(f"{result.moved} times somebody who stays lost his connection")
    try:
        errors += await world.close()
    except Exception:
        errors.append(traceback.format_exc())
    watchdog.stop()
    if errors:
        for node in world.nodes + world.spare:
            print(f"---- the end of {node.id}'s log", *(line[:300] for line in node.log().splitlines()[-8:]), sep="\n")
    return result


def main():
    arguments = sys.argv[1:]
    is_full = "--full" in arguments
    names = [a for a in arguments if not a.startswith("--")]
    if "--list" in arguments:
        for fault in faults.TABLE.values():
            print(f"{fault.name:28} {fault.group:8} {fault.idea}")
        return 0
    chosen = [f for f in faults.TABLE.values() if not names or f.name in names or f.group in names]
    unknown = [n for n in names if not any(n in (f.name, f.group) for f in chosen)]
    if unknown:
        print("no such fault:", *unknown, "(scripts/chaos --list tells which there are)", file=sys.stderr)
        return 2
    if "--check" in arguments:
        return 0
    if not (warren.AMQP_URL and warren.MANAGEMENT_URL):
        print("no broker in the environment; run scripts/test or scripts/chaos")
        return 77
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))  # which ends what was started, on its way
    gc.disable()  # a million frames in the books, and it would look at all of them again and again, while everybody waits
    shared = services.Services() if any(f.needs_services for f in chosen) else None
    done = []
    try:
        for fault in chosen:
            result = asyncio.run(run_fault(fault, is_full, shared))
            done.append(result)
            gc.collect()
            print(f"{'FAILED' if result.errors else 'passed'}  {fault.name}: {fault.idea}", *(f"        {n}" for n in result.notes), sep="\n", flush=True)
            for error in result.errors:
                print("        " + error.replace("\n", "\n        "), flush=True)
    finally:
        if shared:
            shared.stop()
    print(reports.table(done))
    failed = [r.name for r in done if r.errors]
    print(f"{len(done) - len(failed)} passed, {len(failed)} failed", *failed)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
