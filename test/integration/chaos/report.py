"""Figures of one run, and the table of all."""


def percentile(values, share):
    if not values:
        return float("nan")
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))]


SLICE = 0.5  # seconds
QUIET = 3  # slices


def normal_again(delays, begin, end, pulse):
    """When, in seconds after what was broken answered again, delays were normal ones; and how many slow slices came later all the same.

    A delay is what is left of it when what the clients' own process was late meanwhile is taken off. Normal is three times what it was before, for
    all but one in a hundred, or 100 ms. A slice of half a second is slow if more than one in twenty of the deliveries whose sends began in it were;
    it is normal again where three slices in a row are not slow. What is slow later has another reason.
    """
    def own(first, delay):
        return max(0.0, delay - pulse.late(first, first + delay))
    before = [own(first, delay) for first, delay in delays if first < begin]
    normal = max(3 * percentile(before, 0.99), 0.1)
    slices = {}
    for first, delay in delays:
        if first >= end:
            slices.setdefault(int((first - end) / SLICE), []).append(delay > normal and own(first, delay) > normal)
    slow = {index for index, values in slices.items() if sum(values) > len(values) / 20}
    again = next(i for i in range(len(slices) + max(slow, default=0) + 2) if not slow & set(range(i, i + QUIET)))
    return again * SLICE, sum(index > again for index in slow)


class Report:
    def __init__(self, name, world, verdict, errors, seconds):
        self.name = name
        self.errors = errors
        self.seconds = seconds
        self.notes = world.notes + (world.fleet.notes if world.fleet and errors else [])
        self.verdict = verdict
        if not (world and world.fleet and verdict):
            return
        sent = [s for s in world.fleet.ledger.sent.values() if s.accepted is not None]
        begin, back = world.marks.get("fault", 0), world.marks.get("mended", 0)
        end = world.marks.get("back", back) or float("inf")
        waits = [s.accepted - s.due for s in world.fleet.ledger.sent.values() if s.accepted is not None]
        self.sends = len(world.fleet.ledger.sent)
        self.accepted = len(sent)
        # What the clients' own process was late meanwhile is not the nodes' doing.
        pulse = world.fleet.pulse
        self.in_time = sum(s.accepted - s.due <= 5 + pulse.late(s.due, s.accepted) for s in sent) / max(1, self.sends)
        self.slowest = max(waits, default=0)
        self.deliveries = verdict.counts["deliveries"]
        self.latest = verdict.latest
        self.resets = verdict.counts["resets"]
        self.reconnects = sum(again for _, again, _ in world.fleet.connects)
        self.moved = sum(again and steady for _, again, steady in world.fleet.connects)
        delays = world.fleet.delays
        self.before = [d for first, d in delays if first < begin]
        self.during = [d for first, d in delays if begin <= first < end]
        self.after = [d for first, d in delays if first >= end]
        self.normal_after = self.later_slow = None
        if "back" in world.marks and self.before:
            self.normal_after, self.later_slow = normal_again(delays, begin, end, world.fleet.pulse)

    def delay(self, which):
        values = getattr(self, which)
        return f"{percentile(values, 0.5) * 1000:.0f}/{percentile(values, 0.99) * 1000:.0f}" if values else "-"

    def row(self):
        if not self.verdict:
            return [self.name, "BROKEN"]
        counts = self.verdict.counts
        bad = {kind: counts[kind] for kind in ("lost", "silently missed", "twice", "out of order")}
        return [self.name, "passed" if not self.errors else "FAILED", f"{self.seconds:.0f}", self.sends, f"{self.in_time * 100:.1f}", f"{self.slowest:.1f}",
                self.deliveries, bad["lost"] + bad["silently missed"], bad["twice"], bad["out of order"], self.resets, self.reconnects, self.moved,
                self.delay("before"), self.delay("during"), self.delay("after"), f"{self.latest:.1f}",
                "-" if self.normal_after is None else f"{self.normal_after:.1f}"]


HEADS = ["fault", "", "s", "sends", "% in 5 s", "slowest s", "deliveries", "lost", "twice", "order", "resets", "reconnects", "of stayers",
         "delay before", "during", "after", "latest s", "normal after s"]


def table(reports):
    rows = [HEADS] + [[str(cell) for cell in report.row()] for report in reports]
    widths = [max(len(row[i]) for row in rows if i < len(row)) for i in range(len(HEADS))]
    lines = ["  ".join(cell.ljust(width) if i < 2 else cell.rjust(width) for i, (cell, width) in enumerate(zip(row, widths))) for row in rows]
    return "\n".join(lines) + "\n(delays in ms, median/99th of a hundred, from the first try of a send, to clients that are told to stay; latest: from its acceptance, to those who did)"
