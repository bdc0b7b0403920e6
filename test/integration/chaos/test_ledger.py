#!/usr/bin/python3
"""The judge is judged: each kind of wrong that a client could hear is planted in a book, and has to be found; what is excused has to be excused."""
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import ledger  # noqa: E402
from ledger import Heard  # noqa: E402

STORE = ledger.Rules(may_reset=ledger.EVERYBODY, may_restart=True, may_double_repeats=True)


class Judge(unittest.TestCase):
    def setUp(self):
        self.ledger = ledger.Ledger()
        self.book = self.ledger.book("alice")
        self.time = 0
        self.join(None, (7, 0))
        for number in range(1, 7):
            self.send(number, (7, number))

    def send(self, number, position, tries=1):
        sent = self.ledger.sent[("r", "s", number)] = ledger.Sent(0)
        sent.first, sent.accepted, sent.position, sent.message, sent.tries = number, number, position, f"id{number}", tries
        sent.answers = [(sent.message, position)]

    def join(self, since, at, recovered=False, book=None):
        self.time += 1
        (book or self.book).add("r", Heard("join", self.time, at, since=since, recovered=recovered))

    def hear(self, *numbers, epoch=7, shift=0, book=None):
        for number in numbers:
            self.time += 1
            at = (epoch, number + shift) if epoch else None
            (book or self.book).add("r", Heard("message", self.time, at, id=f"id{number}", sender="s", number=number))

    def found(self, *kinds, rules=ledger.Rules()):
        verdict = self.ledger.judge(rules)
        have = {error.split(":")[0] for error in verdict.errors}
        self.assertEqual(have, set(kinds), verdict.errors)
        return verdict

    def test_all_is_well(self):
        self.hear(1, 2, 3)
        self.join((7, 3), (7, 5), True)
        self.hear(4, 5, 6)
        self.assertEqual(self.found().counts["deliveries"], 6)

    def test_lost_at_the_end(self):
        self.hear(1, 2, 3, 4, 5)
        self.found("lost")

    def test_lost_in_between(self):
        self.hear(1, 2, 4, 5, 6)
        self.found("lost", "silently missed")

    def test_twice(self):
        self.hear(1, 2, 2, 3, 4, 5, 6)
        self.found("twice", "out of order")

    def test_twice_at_two_places(self):
        self.hear(1, 2, 3, 4, 5, 6)
        self.hear(6, shift=1)
        self.found("twice")

    def test_out_of_order(self):
        self.hear(1, 3, 2, 4, 5, 6)
        self.found("out of order", "silently missed")

    def test_a_sender_s_order_by_wrong_positions(self):
        for number in (1, 2, 3):
            self.hear(number)
        self.hear(5, shift=-1)
        self.hear(4, shift=1)
        self.hear(6)
        self.found("out of order", "ok told another place")

    def test_clients_that_disagree(self):
        other = self.ledger.book("bob")
        self.join(None, (7, 0), book=other)
        self.hear(1, 2, 3, 4, 5, 6)
        self.hear(1, 2, 3, 4, book=other)
        self.hear(6, shift=-1, book=other)
        self.hear(5, shift=1, book=other)
        self.found("two messages in one place", "out of order")

    def test_what_nobody_sent(self):
        self.hear(1, 2, 3, 4, 5, 6, 7)
        self.found("never sent")

    def test_never_accepted(self):
        self.hear(1, 2, 3, 4, 5, 6)
        self.ledger.sent[("r", "s", 6)].accepted = None
        self.found("never accepted")

    def test_two_answers(self):
        self.hear(1, 2, 3, 4, 5, 6)
        self.ledger.sent[("r", "s", 6)].answers.append(("id6", (7, 9)))
        self.found("two answers")

    def test_a_position_is_needed(self):
        self.hear(1, 2, 3, 4, 5)
        self.hear(6, epoch=None)
        self.found("without a position")
        self.found(rules=STORE)

    def test_a_reset_for_nothing(self):
        self.hear(1, 2, 3)
        self.join((7, 3), (7, 6))
        self.hear(4, 5, 6)
        self.found("told for nothing")
        self.found(rules=STORE)

    def test_who_stays_loses_nothing_whatever_he_is_told(self):
        self.hear(1, 2, 3)
        self.book.add("r", Heard("reset", 9, (7, 5)))
        self.hear(6)
        self.found("lost", rules=STORE)

    def test_who_was_away_and_is_told(self):
        self.hear(1, 2, 3)
        self.time = 5
        self.join((7, 3), (9, 0))
        self.hear(6, epoch=9, shift=-5)
        self.ledger.sent[("r", "s", 6)].position = (9, 1)
        self.assertEqual(self.found(rules=STORE).counts["missed, told"], 2)
        self.found("told for nothing", "lost")

    def test_what_is_left_of_the_numbering_before(self):
        self.hear(1, 2, 3)
        for number in (5, 6):
            self.ledger.sent[("r", "s", number)].position = (9, number - 4)
        self.join((7, 3), (9, 2))
        self.hear(4)
        self.hear(5, 6, epoch=9, shift=-4)
        self.found(rules=STORE)

    def test_a_hole_in_what_is_left(self):
        self.hear(1, 2)
        self.join((7, 2), (9, 0))
        self.hear(3, 5, 6)
        self.found("silently missed", rules=STORE)

    def test_another_epoch_in_the_middle(self):
        self.hear(1, 2, 3)
        self.hear(4, 5, 6, epoch=9, shift=-3)
        for number in (4, 5, 6):
            self.ledger.sent[("r", "s", number)].position = (9, number - 3)
        self.found("another epoch")
        self.found(rules=STORE)

    def test_another_epoch_that_begins_in_the_middle(self):
        self.hear(1, 2, 3)
        self.hear(4, 5, 6, epoch=9)
        for number in (4, 5, 6):
            self.ledger.sent[("r", "s", number)].position = (9, number)
        self.found("another epoch", rules=STORE)

    def test_a_repeat_after_the_store_lost_its_key(self):
        self.hear(1, 2, 3, 4, 5, 6)
        self.hear(6, shift=1)
        self.ledger.sent[("r", "s", 6)].tries = 2
        self.found("twice")
        self.assertEqual(self.found(rules=STORE).counts["doubled, excused"], 1)

    def test_a_newcomer_begins_where_the_room_stands(self):
        other = self.ledger.book("bob")
        self.join(None, (7, 4), book=other)
        self.hear(1, 2, 3, 4, 5, 6)
        self.hear(5, 6, book=other)
        self.found()

    def test_a_back_end_s_messages(self):
        self.ledger.foreign_senders.add("x")
        self.ledger.foreign[("r", "x")] = [1, 2]
        self.hear(1, 2, 3, 4, 5, 6)
        for number in (1, 2, 2):
            self.book.add("r", Heard("message", 9, None, id="x", sender="x", number=number))
        self.found("back end")


if __name__ == "__main__":
    unittest.main()
