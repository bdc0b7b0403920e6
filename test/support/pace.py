"""How evenly things come, and how late whoever looks at them is by himself."""
import asyncio
import bisect
import time


def steepest(times, width):
    """The most of them within any @width seconds."""
    times, most, begin = sorted(times), 0, 0
    for end, time_ in enumerate(times):
        while times[begin] <= time_ - width:
            begin += 1
        most = max(most, end - begin + 1)
    return most


class Pulse:
    """A heart that beats by the clock. What a beat is late, everything on this event loop was late at that moment; with ask(), a question to
    something that has no part in what is measured, also whatever else the machine lets wait."""

    def __init__(self, period=0.02, ask=None):
        self.period, self.ask = period, ask
        self.dues, self.lates = [], []
        self.due = None  # of the beat that is awaited
        self.is_over = False
        self.task = None

    def start(self):
        self.task = asyncio.create_task(self.run(), name="pulse")
        return self

    async def run(self):
        while not self.is_over:
            self.due = time.monotonic() + self.period
            await asyncio.sleep(self.period)
            if self.ask:
                await self.ask()
            self.dues.append(self.due)
            self.lates.append(max(0.0, time.monotonic() - self.due))

    async def stop(self):
        self.is_over = True  # wait_for() swallows a cancellation that comes with its answer
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    def late(self, begin, end):
        """The longest that a beat between these moments, or around one of them, was late."""
        first = bisect.bisect_left(self.dues, begin)
        while first > 0 and self.dues[first - 1] + self.lates[first - 1] >= begin:
            first -= 1
        last = bisect.bisect_right(self.dues, end)
        late = max(self.lates[first:last], default=0.0)
        if self.due is not None and len(self.dues) == last and self.due <= end:  # still awaited
            late = max(late, min(end, time.monotonic()) - self.due)
        return late
