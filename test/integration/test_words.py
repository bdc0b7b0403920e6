#!/usr/bin/python3
"""The word list: what is masked, what is refused, what is left alone, and a file that changes under a running node."""
import json
import os
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import warren  # noqa: E402


class Words(warren.WarrenTest):
    standalone = True
    node_count = 0

    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory(prefix="warren-words-")
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "words.txt")
        self.write("scam\n坏人\n\"ass\"\n[refuse]\nevil\n")

    def write(self, text):
        """As an editor does: a new file in the old one's place."""
        with open(self.path + ".new", "wb") as file:
            file.write(text if isinstance(text, bytes) else text.encode())
        os.replace(self.path + ".new", self.path)

    def node(self, **settings):
        return self.start_node(settings={"words.file": self.path, **{k.replace("__", "."): v for k, v in settings.items()}})

    async def say(self, client, raw, room="lobby"):
        """Sends the data byte for byte; the answer."""
        client.next_id += 1
        await client.send('{"id":%d,"op":"send","room":"%s","data":%s}' % (client.next_id, room, raw))
        return await client.expect(lambda m: m.get("id") == client.next_id, "an answer")

    async def heard(self, client, raw, room="lobby"):
        """The data that the listeners get, byte for byte as it stands in the frame."""
        answer = await self.say(client, raw, room)
        self.assertIn("ok", answer)
        await client.expect(lambda m: m.get("event") == "message" and m["id"] == answer["ok"]["message"], "the message")
        frame = next(f for f in reversed(client.frames) if answer["ok"]["message"] in f and '"event":"message"' in f)
        return frame[frame.index('"data":') + len('"data":'):-1]

    async def test_texts_are_masked_or_refused(self):
        alice = await self.room(self.node(), "lobby", "alice")
        for raw, expected in (
                ('"good day"', '"good day"'),
                ('"a sc\\u0061m, 坏\\u4eba"', '"a ****, **"'),
                ('"\\u0053CAM\\n\\"x\\""', '"****\\n\\"x\\""'),
                ('"class ass"', '"class ***"'),
                ('{"text":"scam"}', '{"text":"scam"}'),  # no member is named by the configuration
                ('["scam"]', '["scam"]'),
                ('42', '42')):
            with self.subTest(raw=raw):
                self.assertEqual(await self.heard(alice, raw), expected)
        for raw in ('"evil"', '"\\u0065v\\u0069l scam"'):
            answer = await self.say(alice, raw)
            self.assertEqual(answer["error"]["code"], "forbidden")
            self.assertNotIn("retry_after_ms", answer["error"])
        node = self.nodes[0]
        self.assertEqual(node.metric("warren_hub_words_total", action="mask"), 3)
        self.assertEqual(node.metric("warren_hub_words_total", action="refuse"), 2)

    async def test_a_member_is_looked_at_and_nothing_else_is_changed(self):
        alice = await self.room(self.node(channel__chat__match="*", channel__chat__text="msg"), "lobby", "alice")
        self.assertEqual(await self.heard(alice, '{ "n":1.50e0, "other":"scam","msg" :"a scam" ,"deep":{"msg":"scam"}}'),
                         '{ "n":1.50e0, "other":"scam","msg" :"a ****" ,"deep":{"msg":"scam"}}')
        self.assertEqual(await self.heard(alice, '{"msg":"fine","\\u006dsg":"scam","msg":["scam"]}'),
                         '{"msg":"fine","\\u006dsg":"****","msg":["scam"]}')
        self.assertEqual((await self.say(alice, '{"msg":"scam","msg":"evil"}'))["error"]["code"], "forbidden")
        self.assertEqual(await self.heard(alice, '"scam"'), '"****"')

    async def test_whispers_too_but_not_back_ends_and_not_where_it_is_off(self):
        node = self.node(channel__free__match="room:free", channel__free__words="no")
        alice, bob = await self.room(node, "lobby", "alice"), await self.room(node, "free", "bob")
        self.assertIn("ok", await alice.request(op="whisper", user="bob", data="a scam"))
        await bob.message(data="a ****")
        self.assertEqual((await alice.request(op="whisper", user="bob", data="evil"))["error"]["code"], "forbidden")
        told = [line for line in node.log().splitlines() if "the word list refused a text" in line]
        self.assertEqual(len(told), 1)
        self.assertRegex(told[0], "user=alice to=user name=bob")
        self.assertNotIn("evil", told[0], "who and where, not what")
        self.assertEqual(await self.heard(bob, '"scam evil"', "free"), '"scam evil"')
        self.assertEqual(node.post("/v1/rooms/lobby/messages", {"data": "the evil scam"})[0], 202)
        await alice.message(data="the evil scam")

    async def test_a_changed_file_is_taken_a_bad_one_is_not(self):
        node = self.node()
        alice = await self.room(node, "lobby", "alice")
        self.assertEqual(await self.heard(alice, '"scam and fraud"'), '"**** and fraud"')
        self.write("fraud\n")
        warren.wait_for(lambda: node.log().count("word list in force") == 2, "the new list")
        self.assertEqual(await self.heard(alice, '"scam and fraud"'), '"scam and *****"')
        self.write("good\n[masc]\n")
        warren.wait_for(lambda: "the words of before stay in force" in node.log(), "a word about the bad list")
        self.assertIn("line 2: expected [mask] or [refuse]", node.log())
        self.assertEqual(await self.heard(alice, '"good fraud"'), '"good *****"')
        os.unlink(self.path)
        warren.wait_for(lambda: node.log().count("the words of before stay in force") == 2, "a word about no file")
        self.assertEqual(await self.heard(alice, '"fraud"'), '"*****"')
        self.write(b"\xff\n")
        node.signal(signal.SIGHUP)
        warren.wait_for(lambda: "the configuration is not reloaded" in node.log(), "a refused reload")
        self.write("# nothing any more\n")
        warren.wait_for(lambda: node.log().count("word list in force") == 3, "the empty list")
        self.assertEqual(await self.heard(alice, '"fraud"'), '"fraud"')

    async def test_a_bad_file_at_the_start_is_told_with_its_line(self):
        self.write('fine\n"open\n')
        arguments = ["--set", f"words.file={self.path}", "--standalone"]
        for extra in (["--check-config"], []):
            result = subprocess.run([os.path.join(warren.BIN, "warrend"), *arguments, *extra], capture_output=True, text=True,
                                    timeout=120, check=False)
            self.assertEqual(result.returncode, 2, result.stderr)
            self.assertIn(f"words.file: {self.path}: line 2: expected a closing", result.stderr)
        missing = warren.run_tool("warrend", "--set", "words.file=/nowhere/words", "--check-config")
        self.assertEqual(missing[0], 2)
        self.assertIn("words.file: /nowhere/words: No such file or directory", missing[2])

    async def test_ten_thousand_words(self):
        self.write("".join(f"w{i}x\n" for i in range(10000)))
        alice = await self.room(self.node(), "lobby", "alice")
        self.assertEqual(await self.heard(alice, json.dumps("w17x w9999x w10000x w1w2x")), '"**** ****** w10000x w1***"')


if __name__ == "__main__":
    warren.main()
