"""What was sent, what was accepted, and what every client heard, frame by frame; and the judgement.

A client's book is filled as frames arrive and nothing is left out of it. The judgement walks through each book again: every message's position has to
be the next one, every number of every sender has to be there once and in order, and all clients have to agree which message stands at a position.
"""
import collections


class Sent:
    """One number of one sender in one room."""

    __slots__ = ("due", "first", "accepted", "position", "message", "tries", "answers", "refusals")

    def __init__(self, due):
        self.due = due  # when the clock said that it be sent
        self.first = None
        self.accepted = None
        self.position = None
        self.message = None
        self.tries = 0
        self.answers = []
        self.refusals = 0


class Heard:
    __slots__ = ("kind", "time", "at", "id", "sender", "number", "since", "recovered")

    def __init__(self, kind, time, at, **fields):
        self.kind, self.time, self.at = kind, time, at  # kind: join, reset, gap, message; at: (epoch, offset) or None
        self.id = fields.get("id")
        self.sender, self.number = fields.get("sender"), fields.get("number")
        self.since, self.recovered = fields.get("since"), fields.get("recovered")


class Book:
    """What one client heard."""

    def __init__(self, name, is_steady):
        self.name = name
        self.is_steady = is_steady  # it was told to stay; a wanderer goes on purpose
        self.rooms = collections.defaultdict(list)
        self.numbers = collections.defaultdict(set)  # room -> (sender, number)
        self.begins = {}  # room -> where it stood at the first join; what is before that is not for this client

    def add(self, room, heard):
        if heard.kind == "join":
            self.begins.setdefault(room, heard.at)
        self.rooms[room].append(heard)
        if heard.kind == "message":
            self.numbers[room].add((heard.sender, heard.number))


class Everybody:
    def __contains__(self, name):
        return True


EVERYBODY = Everybody()


class Rules:
    """What a fault excuses. Nothing, by default."""

    def __init__(self, may_reset=(), may_restart=False, may_double_repeats=False):
        self.may_reset = may_reset  # the names of clients that may come back and be told that something is gone, or EVERYBODY
        self.may_restart = may_restart  # a numbering may begin again, also told to those who stayed, who lose nothing by it
        self.may_double_repeats = may_double_repeats  # a repeated send whose key the store lost, or one that lost its place


class Verdict:
    def __init__(self):
        self.errors = []
        self.counts = collections.Counter()
        self.latest = 0.0  # seconds from acceptance to delivery, at most, to who stayed
        self.latest_what = ""

    def say(self, kind, text):
        self.counts[kind] += 1
        if self.counts[kind] <= 5:
            self.errors.append(f"{kind}: {text}")


class Ledger:
    def __init__(self):
        self.sent = {}  # (room, sender, number) -> Sent
        self.books = []
        self.foreign = collections.defaultdict(list)  # (room, sender) -> numbers that a back end put on the fanout itself
        self.foreign_senders = set()

    def book(self, name, is_steady=True):
        self.books.append(Book(name, is_steady))
        return self.books[-1]

    def accepted(self, room):
        return {(sender, number): sent for (r, sender, number), sent in self.sent.items() if r == room and sent.accepted is not None}

    def expected(self, book, room, accepted):
        """Of the accepted ones, those that the client has to hear: all that came after it joined."""
        begin = book.begins.get(room)
        if not begin or begin[1] == 0:
            return accepted.keys()
        return {key for key, sent in accepted.items() if not sent.position or sent.position[0] != begin[0] or sent.position[1] > begin[1]}

    def accepted_by_room(self):
        by_room = collections.defaultdict(dict)
        for (room, sender, number), sent in self.sent.items():
            if sent.accepted is not None:
                by_room[room][(sender, number)] = sent
        return by_room

    def wanted(self, book, accepted):
        """What of all that was accepted this client has to hear: by room."""
        return {room: set(self.expected(book, room, accepted[room])) for room in book.rooms if room in accepted}

    def missing(self, book):
        """How many of the accepted ones this client has not heard yet, in the rooms it is in."""
        return sum(len(self.expected(book, room, self.accepted(room)) - book.numbers[room]) for room in book.rooms)

    # ---- the judgement ----

    def judge(self, rules):
        verdict = Verdict()
        places = {}  # (room, epoch, offset) -> (id, sender, number)
        accepted = self.accepted_by_room()
        for book in self.books:
            for room, events in book.rooms.items():
                told = self.judge_positions(verdict, book, room, events, rules, places)
                self.judge_numbers(verdict, book, room, events, rules, accepted.get(room, {}), told)
        self.judge_answers(verdict, rules, places)
        self.judge_foreign(verdict)
        return verdict

    def judge_positions(self, verdict, book, room, events, rules, places):
        """The times at which the client was told that something is gone; the whole walk of one client through one room."""
        at, low, told = None, None, []
        for e in events:
            where = f"{book.name} in {room} at {e.at} after {at}"
            if e.kind == "join":
                if e.since is None:
                    at, low = e.at, None
                elif e.recovered:
                    if at != e.since and not low:
                        verdict.say("harness", f"{where}: came back with {e.since}")
                    at, low = e.since, None
                else:
                    told.append(e.time)
                    verdict.counts["resets"] += 1
                    # Of a channel without a message nobody knows whether it was another one before.
                    if book.name not in rules.may_reset and e.since[1] > 0:
                        verdict.say("told for nothing", f"{where}: since {e.since} was not recovered")
                    at, low = e.at, (e.at if e.at else None)
            elif e.kind == "reset":
                told.append(e.time)
                verdict.counts["resets"] += 1
                if not rules.may_restart:
                    verdict.say("told for nothing", f"{where}: reset")
                at, low = e.at, None
            elif e.kind == "gap":
                verdict.say("gap", where)
            elif e.sender in self.foreign_senders:
                pass
            elif e.at is None:
                verdict.counts["apart"] += 1
                if not rules.may_restart:
                    verdict.say("without a position", f"{where}: {e.sender} {e.number}")
            else:
                left = None
                if at is None or (low and e.at[0] == low[0] and e.at[1] <= low[1] + 1):
                    pass  # no position was known, or this is what is left of what was missed
                elif low and e.at[0] != low[0] and at in (low, (e.at[0], e.at[1] - 1)):
                    left = low  # and this what is left of the numbering before, which comes first
                elif at[0] != e.at[0]:
                    if e.at[1] != 1 or not (rules.may_restart or at[1] == 0):
                        verdict.say("another epoch", where)
                elif e.at[1] != at[1] + 1:
                    verdict.say("out of order" if e.at[1] <= at[1] else "silently missed", where)
                at, low = e.at, left
                place = places.setdefault((room, *e.at), (e.id, e.sender, e.number))
                if place != (e.id, e.sender, e.number):
                    verdict.say("two messages in one place", f"{where}: {place} and {(e.id, e.sender, e.number)}")
        return told

    def judge_numbers(self, verdict, book, room, events, rules, accepted, told):
        first, last = {}, {}
        has_stayed = sum(e.kind == "join" for e in events) == 1
        for e in events:
            if e.kind != "message" or e.sender in self.foreign_senders:
                continue
            key = (e.sender, e.number)
            sent = self.sent.get((room, *key))
            verdict.counts["deliveries"] += 1
            if sent is None:
                verdict.say("never sent", f"{book.name} in {room}: {key}")
                continue
            if key in first:
                is_excused = rules.may_double_repeats and (sent.tries > 1 or told) and first[key] == e.id
                verdict.counts["doubled, excused"] += is_excused
                if not is_excused:
                    verdict.say("twice", f"{book.name} in {room}: {key} with {sent.tries} tries")
                continue
            first[key] = e.id
            if sent.accepted is not None and has_stayed and e.time - sent.accepted > verdict.latest:
                verdict.latest, verdict.latest_what = e.time - sent.accepted, f"{book.name} in {room}: {key}"
            if e.at is not None:
                if e.number < last.get(e.sender, 0):
                    verdict.say("out of order", f"{book.name} in {room}: {e.sender} {e.number} after {last[e.sender]}")
                last[e.sender] = e.number
        for key in self.expected(book, room, accepted) - first.keys():
            if self.is_excused(book, rules, events, accepted[key].accepted, told):
                verdict.counts["missed, told"] += 1
            else:
                verdict.say("lost", f"{book.name} in {room}: {key} accepted at {accepted[key].position}, {accepted[key].tries} tries")

    @staticmethod
    def is_excused(book, rules, events, accepted, told):
        """Who was away when it came, came back and was told. Whoever stays gets everything, whatever he is told."""
        if book.name not in rules.may_reset:
            return False
        back = [e.time for e in events if e.kind == "join" and e.since and e.time > accepted - 1]
        return any(time >= back[0] for time in told) if back else False

    def judge_answers(self, verdict, rules, places):
        for (room, sender, number), sent in self.sent.items():
            verdict.counts["sends"] += 1
            if sent.accepted is None:
                verdict.say("never accepted", f"{sender} {number} in {room}, {sent.tries} tries")
                continue
            verdict.counts["accepted"] += 1
            if len(set(sent.answers)) > 1 and not rules.may_double_repeats:
                verdict.say("two answers", f"{sender} {number} in {room}: {sent.answers}")
            place = places.get((room, *sent.position)) if sent.position else None
            if place and place != (sent.message, sender, number):
                verdict.say("ok told another place", f"{sender} {number} in {room}: ok says {sent.position} {sent.message}, there is {place}")

    def judge_foreign(self, verdict):
        """What a back end put on the fanout itself: once at everybody who was there all the time, in order."""
        for (room, sender), numbers in self.foreign.items():
            for book in self.books:
                joins = [e for e in book.rooms.get(room, ()) if e.kind == "join"]
                if len(joins) != 1:
                    continue
                heard = [e.number for e in book.rooms[room] if e.kind == "message" and e.sender == sender]
                verdict.counts["deliveries"] += len(heard)
                if heard != numbers:
                    verdict.say("back end", f"{book.name} in {room}: heard {len(heard)}, {len(set(heard))} different, of {len(numbers)}")
