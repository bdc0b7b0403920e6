#!/usr/bin/python3
"""A real audience over two nodes: 611 viewers, 1,239 comments, each counted at each viewer, by the tool that users have."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import warren  # noqa: E402


class Replay(warren.WarrenTest):
    node_count = 2
    settings = {"session.heartbeat": "600s"}  # on a busy machine the tool may be a minute behind, with what it reads and so with its pongs

    async def test_every_viewer_gets_every_comment_once(self):
        nodes = ",".join(node.ws for node in self.nodes)
        code, out, err = await warren.asyncio.to_thread(
            warren.run_tool, "warren-bench", "replay", os.path.join(warren.TOP, "test", "data", "danmaku.tsv"), "--nodes", nodes,
            "--speed", "20", "--timeout", "120", "--json", timeout=600)
        self.assertEqual(code, 0, err[-2000:] + out[-2000:])
        report = json.loads(out)
        self.assertEqual((report["sent"], report["accepted"], report["expected"], report["received"]),
                         (1239, 1239, 1239 * 611, 1239 * 611), report)
        self.assertEqual((report["lost"], report["duplicated"], report["out_of_order"], report["corrupted"]), (0, 0, 0, 0))
        for node in self.nodes:  # and it went through the broker, on both: what the other one took, however few bodies it travels in
            self.assertGreater(node.metric("warren_amqp_consumed_bytes_total"), 1239 // 2 * 100)


if __name__ == "__main__":
    warren.main()
