/* docs/examples/warren.js by a clock and sockets of the test's own: when it comes back, what it says then, and when it gives up. */
"use strict";
const assert = require("assert");
const Warren = require("../../docs/examples/warren.js");

process.on("unhandledRejection", () => {}); // the tests look at what is rejected, some of it later than Node likes

const turn = () => new Promise((resolve) => setImmediate(resolve)); // promises settle

class Bench {
  constructor(options = {}, urls = "ws://a/ws") {
    this.time = 1000;
    this.timers = new Map();
    this.lastTimer = 0;
    this.sockets = [];
    this.events = [];
    this.chance = 0.5;
    const bench = this;
    class Socket {
      constructor(url) {
        this.url = new URL(url);
        this.sent = [];
        bench.sockets.push(this);
      }
      send(text) { this.sent.push(JSON.parse(text)); }
      close() { this.isClosed = true; }
    }
    this.client = new Warren(urls, {
      WebSocket: Socket,
      now: () => this.time,
      random: () => this.chance,
      setTimeout: (f, ms) => this.timers.set(++this.lastTimer, [this.time + ms, f]) && this.lastTimer,
      clearTimeout: (id) => this.timers.delete(id),
      ...options,
    });
    for (const name of ["state", "message", "reset", "gap", "error", "goodbye", "online"])
      this.client.on(name, (value) => this.events.push([name, value]));
  }

  get socket() { return this.sockets[this.sockets.length - 1]; }

  async pass(ms) {
    const end = this.time + ms;
    for (;;) {
      const due = [...this.timers].filter(([, [at]]) => at <= end).sort((a, b) => a[1][0] - b[1][0])[0];
      if (!due) break;
      this.timers.delete(due[0]);
      this.time = due[1][0];
      due[1][1]();
      await turn();
    }
    this.time = end;
  }

  async say(frame) {
    this.socket.onmessage({ data: JSON.stringify(frame) });
    await turn();
  }

  async welcome(channels = []) {
    await turn();
    await this.say({ event: "welcome", session: "s", user: "u", node: "n", heartbeat_s: 25, channels });
  }

  async lose(code = 1006, reason = "") {
    this.socket.onclose({ code, reason });
    await turn();
  }

  /** The newest operation of this kind. */
  asked(op) { return this.socket.sent.filter((o) => o.op === op).pop(); }
  of(name) { return this.events.filter(([n]) => n === name).map(([, value]) => value); }
  message(offset, epoch = "1", more = {}) { return this.say({ event: "message", channel: "room:r", epoch, offset, id: `i${offset}`, data: offset, ...more }); }
  heard() { return this.of("message").map((m) => m.data); }
}

const tests = {
  async "the pause grows, is random, and is bounded"() {
    const b = new Bench({}, "ws://a/ws");
    await turn();
    const pauses = [];
    for (let i = 0; i < 8; i++) {
      await b.lose();
      pauses.push(b.of("state").pop().pauseMs);
      await b.pass(pauses[i]);
      assert.strictEqual(b.sockets.length, i + 2);
    }
    assert.deepStrictEqual(pauses, [250, 500, 1000, 2000, 4000, 8000, 10000, 10000]);
    b.chance = 0;
    await b.lose();
    assert.strictEqual(b.of("state").pop().pauseMs, 0, "full jitter: from nothing to the limit");
  },

  async "a connection that held ends the row of failures; one that did not, does not"() {
    const b = new Bench();
    await b.welcome();
    await b.lose();
    await b.pass(250);
    await b.welcome();
    await b.pass(5000);
    await b.lose();
    assert.strictEqual(b.of("state").pop().pauseMs, 500);
    await b.pass(500);
    await b.welcome();
    await b.pass(10000);
    await b.lose();
    assert.strictEqual(b.of("state").pop().pauseMs, 250);
  },

  async "it comes back when the goodbye says, counted from there, and elsewhere"() {
    const b = new Bench({}, ["ws://a/ws", "ws://b/ws"]);
    await b.welcome();
    assert.strictEqual(b.socket.url.host, "b");
    await b.say({ event: "goodbye", code: 4100, reason: "draining", retry_after_ms: 5000 });
    await b.pass(2000);
    await b.message(1);
    assert.deepStrictEqual(b.heard(), [1], "served until then");
    await b.lose(4100, "draining");
    assert.strictEqual(b.of("state").pop().pauseMs, 3000);
    await b.pass(2999);
    assert.strictEqual(b.sockets.length, 1);
    await b.pass(1);
    assert.strictEqual(b.socket.url.host, "a");
    await b.lose();
    assert.strictEqual(b.of("state").pop().pauseMs, 250, "no failure was counted, and the goodbye is past");
  },

  async "45xx is for good"() {
    for (const code of [4500, 4501, 4502, 4503, 4504, 4505, 4599]) {
      const b = new Bench();
      const send = b.client.send("r", 1), join = b.client.join("q");
      await b.welcome();
      await b.lose(code, "out");
      assert.strictEqual(b.client.state, "closed");
      await assert.rejects(send, { code: "closed" });
      await assert.rejects(join, { code: "closed" });
      await assert.rejects(b.client.send("r", 1), { code: "closed" });
      await b.pass(3600000);
      assert.strictEqual(b.sockets.length, 1);
    }
    for (const code of [1000, 1001, 1006, 1008, 1012, 4100, 4101, 4104, 4499, 4600]) {
      const b = new Bench();
      await b.welcome();
      await b.lose(code);
      assert.strictEqual(b.client.state, "waiting", String(code));
    }
  },

  async "no welcome, no connection"() {
    const b = new Bench({}, ["ws://a/ws", "ws://b/ws"]);
    await turn();
    await b.pass(10000);
    assert.ok(b.sockets[0].isClosed);
    assert.strictEqual(b.client.state, "waiting");
    await b.pass(250);
    assert.notStrictEqual(b.sockets[0].url.host, b.sockets[1].url.host);
  },

  async "an address that is none"() {
    const b = new Bench({}, "nonsense");
    await turn();
    assert.strictEqual(b.client.state, "closed");
    const two = new Bench({ first: 0 }, ["nonsense", "ws://b/ws"]);
    await turn();
    assert.strictEqual(two.client.state, "waiting");
    await two.pass(250);
    assert.strictEqual(two.socket.url.host, "b");
  },

  async "a connection that is dead is found out, by one ping and no more"() {
    const b = new Bench();
    await b.welcome();
    await b.pass(24000);
    await b.say({ event: "online", room: "r", count: 1 });
    await b.pass(24999);
    assert.strictEqual(b.asked("ping"), undefined, "any frame is a sign of life");
    await b.pass(1);
    await b.say({ id: b.asked("ping").id, ok: {} });
    await b.pass(25000);
    assert.strictEqual(b.socket.sent.length, 2);
    const old = b.socket;
    await b.pass(9999);
    assert.strictEqual(b.client.state, "open");
    await b.pass(1);
    assert.strictEqual(b.client.state, "waiting");
    assert.ok(old.isClosed);
    old.onclose({ code: 1000 });
    assert.strictEqual(b.of("state").filter((s) => s.state === "waiting").length, 1, "its late end is nobody's");
  },

  async "rooms are joined again, from where they were left"() {
    const b = new Bench({ user: "ada", query: () => ({ token: `t${b ? b.sockets.length : 0}` }) });
    const joined = b.client.join("r");
    await b.welcome([{ channel: "user:ada", epoch: "5", offset: 3, recovered: false }, { channel: "all", epoch: "6", offset: 9, recovered: false }]);
    assert.deepStrictEqual([...b.socket.url.searchParams], [["user", "ada"], ["token", "t0"]]);
    assert.strictEqual(b.asked("join").since, undefined);
    await b.say({ id: b.asked("join").id, ok: { channel: "room:r", epoch: "1", offset: 4, recovered: false } });
    assert.strictEqual((await joined).offset, 4);
    assert.strictEqual((await b.client.join("r")).offset, 4, "once more costs nothing");
    await b.say({ event: "message", channel: "user:ada", epoch: "5", offset: 3, data: "kept for me" });
    await b.message(5);
    await b.lose();
    await b.pass(250);
    assert.deepStrictEqual(b.socket.url.searchParams.getAll("since"), ["all@6:9", "user:ada@5:3"]);
    assert.strictEqual(b.socket.url.searchParams.get("token"), "t1");
    await b.welcome([{ channel: "user:ada", epoch: "5", offset: 3, recovered: true }, { channel: "all", epoch: "6", offset: 9, recovered: true }]);
    assert.deepStrictEqual(b.asked("join").since, { epoch: "1", offset: 5 });
    await b.say({ id: b.asked("join").id, ok: { channel: "room:r", epoch: "1", offset: 7, recovered: true } });
    await b.lose(); // before the catch-up came
    await b.pass(500);
    await b.welcome();
    assert.deepStrictEqual(b.asked("join").since, { epoch: "1", offset: 5 });
    await b.say({ id: b.asked("join").id, ok: { channel: "room:r", epoch: "1", offset: 7, recovered: true } });
    for (const offset of [6, 6, 5, 7, 8]) await b.message(offset);
    assert.deepStrictEqual(b.heard(), ["kept for me", 5, 6, 7, 8]);
    assert.deepStrictEqual([b.of("reset"), b.of("gap")], [[], []]);
    assert.deepStrictEqual(b.client.positions(), { all: { epoch: "6", offset: 9 }, "user:ada": { epoch: "5", offset: 3 }, "room:r": { epoch: "1", offset: 8 } });
    const next = new Bench({ positions: b.client.positions() });
    next.client.join("r");
    await next.welcome();
    assert.deepStrictEqual(next.asked("join").since, { epoch: "1", offset: 8 }, "another life goes on there");
  },

  async "the last messages, for a newcomer"() {
    const b = new Bench();
    b.client.join("r", { history: 2 });
    await b.welcome();
    assert.strictEqual(b.asked("join").history, 2);
    const past = [4, 5].map((offset) => ({ channel: "room:r", epoch: "1", offset, id: `i${offset}`, data: offset }));
    await b.say({ id: b.asked("join").id, ok: { channel: "room:r", epoch: "1", offset: 5, recovered: false, messages: past } });
    await b.message(6);
    assert.deepStrictEqual(b.of("message").map((m) => [m.data, m.isPast]), [[4, true], [5, true], [6, undefined]]);
    await b.lose();
    await b.pass(250);
    await b.welcome();
    assert.deepStrictEqual([b.asked("join").history, b.asked("join").since], [undefined, { epoch: "1", offset: 6 }]);
    assert.deepStrictEqual([b.of("reset"), b.of("gap")], [[], []]);
  },

  async "what is gone is told"() {
    const b = new Bench();
    b.client.join("r", { since: { epoch: "1", offset: 5 } });
    await b.welcome();
    await b.say({ id: b.asked("join").id, ok: { channel: "room:r", epoch: "2", offset: 3, recovered: false } });
    assert.strictEqual(b.of("reset").length, 1);
    await b.message(2, "2"); // what is left of it
    await b.message(3, "2");
    await b.say({ event: "gap", channel: "room:r", from: 4, to: 6 });
    await b.message(7, "2");
    await b.say({ event: "reset", channel: "room:r", epoch: "3", offset: 9 });
    await b.message(10, "3");
    assert.deepStrictEqual(b.of("gap"), [{ event: "gap", channel: "room:r", from: 4, to: 6 }]);
    assert.strictEqual(b.of("reset").length, 2);
    await b.message(13, "3");
    assert.deepStrictEqual(b.of("gap").pop(), { event: "gap", channel: "room:r", from: 11, to: 12 }, "one that nobody told of");
    assert.deepStrictEqual(b.heard(), [2, 3, 7, 10, 13]);
  },

  async "messages without a position, twice, are heard once"() {
    const b = new Bench();
    await b.welcome();
    for (const id of ["x", "x", "y"]) await b.say({ event: "message", channel: "all", id, data: id });
    assert.deepStrictEqual(b.heard(), ["x", "y"]);
  },

  async "a send is repeated with its key until it is answered"() {
    const b = new Bench();
    const results = [];
    b.client.join("r");
    const sends = [1, 2, 3].map((n) => b.client.send("r", n).then((ok) => results.push([n, ok.offset])));
    await b.welcome();
    assert.strictEqual(b.asked("send"), undefined, "not before the room is joined");
    const join = async () => b.say({ id: b.asked("join").id, ok: { channel: "room:r", epoch: "1", offset: 0, recovered: true } });
    await join();
    const first = b.asked("send");
    assert.deepStrictEqual([first.room, first.data], ["r", 1]);
    assert.ok(first.key.length >= 8);
    await b.lose();
    await b.pass(250);
    await b.welcome();
    await join();
    assert.deepStrictEqual([b.asked("send").data, b.asked("send").key], [1, first.key]);
    await b.say({ id: b.asked("send").id, error: { code: "unavailable", message: "", retry_after_ms: 700 } });
    await b.pass(699);
    assert.strictEqual(b.socket.sent.filter((o) => o.op === "send").length, 1, "not before retry_after_ms");
    await b.pass(1);
    assert.strictEqual(b.asked("send").key, first.key);
    await b.say({ id: b.asked("send").id, ok: { message: "m", epoch: "1", offset: 1 } });
    assert.strictEqual(b.asked("send").data, 2, "in order");
    assert.notStrictEqual(b.asked("send").key, first.key);
    await b.say({ id: b.asked("send").id, error: { code: "busy", message: "" } });
    await b.pass(750);
    await b.say({ id: b.asked("send").id, ok: { message: "m", epoch: "1", offset: 2 } });
    await b.say({ id: b.asked("send").id, ok: { message: "m", epoch: "1", offset: 3 } });
    await Promise.all(sends);
    assert.deepStrictEqual(results, [[1, 1], [2, 2], [3, 3]]);
  },

  async "a refusal is the caller's, and the next one goes"() {
    const b = new Bench({ maxPending: 2 });
    await b.welcome();
    const bad = b.client.whisper("", 1, { key: "k" }), good = b.client.whisper("bob", 2, { key: "k" });
    await assert.rejects(b.client.whisper("bob", 3), { code: "full" });
    await b.say({ id: b.asked("whisper").id, error: { code: "bad_name", message: "no" } });
    await assert.rejects(bad, { code: "bad_name", message: "no" });
    assert.deepStrictEqual([b.asked("whisper").user, b.asked("whisper").key], ["bob", "k"]);
    await b.say({ id: b.asked("whisper").id, ok: { message: "m" } });
    assert.deepStrictEqual(await good, { message: "m" });
  },

  async "what is too old to be repeated is given up"() {
    const b = new Bench();
    await b.welcome();
    const send = b.client.send("r", 1);
    await b.lose();
    await b.pass(250);
    b.socket.onclose({ code: 1006 });
    b.time += 540001;
    await b.pass(20000);
    await b.welcome();
    await assert.rejects(send, { code: "unanswered" });
    assert.strictEqual(b.asked("send"), undefined);
  },

  async "more at a time, for those who want it"() {
    const b = new Bench({ window: 3 });
    await b.welcome();
    for (let n = 0; n < 5; n++) b.client.send("r", n);
    assert.deepStrictEqual(b.socket.sent.map((o) => o.data), [0, 1, 2]);
    await b.say({ id: b.socket.sent[1].id, ok: {} });
    assert.deepStrictEqual(b.socket.sent.map((o) => o.data), [0, 1, 2, 3]);
  },

  async "a join that is refused for a while is repeated; one that is refused is told"() {
    const b = new Bench();
    const join = b.client.join("r");
    await b.welcome();
    await b.say({ id: b.asked("join").id, error: { code: "unavailable", message: "", retry_after_ms: 400 } });
    await b.pass(400);
    await b.say({ id: b.asked("join").id, error: { code: "quota", message: "too many" } });
    await assert.rejects(join, { code: "quota" });
    const left = b.client.join("q");
    b.client.leave("q");
    await assert.rejects(left, { code: "left" });
    assert.deepStrictEqual(b.asked("leave").room, "q");
  },

  async "one-time requests are not repeated"() {
    const b = new Bench();
    await assert.rejects(b.client.request("online", { room: "r" }), { code: "disconnected" });
    await b.welcome();
    const request = b.client.request("online", { room: "r" }), other = b.client.request("like", { room: "r", n: 3 });
    await b.say({ id: b.asked("online").id, ok: { count: 2 } });
    assert.deepStrictEqual(await request, { count: 2 });
    await b.lose();
    await assert.rejects(other, { code: "disconnected" });
  },

  async "errors that nobody asked for hold the sends back"() {
    const b = new Bench();
    await b.welcome();
    await b.say({ error: { code: "rate_limited", message: "", retry_after_ms: 900 } });
    assert.strictEqual(b.of("error")[0].code, "rate_limited");
    b.client.send("r", 1);
    assert.strictEqual(b.asked("send"), undefined);
    await b.pass(900);
    assert.strictEqual(b.asked("send").data, 1);
  },

  async "a join that was refused for a while is made once by each connection"() {
    const b = new Bench();
    b.client.join("r");
    await b.welcome();
    await b.say({ id: b.asked("join").id, error: { code: "busy", message: "", retry_after_ms: 5000 } });
    await b.lose();
    await b.pass(1000);
    await b.welcome();
    await b.pass(5000);
    assert.strictEqual(b.socket.sent.filter((o) => o.op === "join").length, 1);
  },

  async "a channel that was lost, and is empty now, is told once"() {
    const b = new Bench();
    b.client.join("r", { since: { epoch: "1", offset: 7 } });
    for (let i = 0; i < 2; i++) {
      await b.welcome();
      await b.say({ id: b.asked("join").id, ok: { channel: "room:r", epoch: "2", offset: 0, recovered: i > 0 } });
      await b.lose();
      await b.pass(20000);
    }
    assert.strictEqual(b.of("reset").length, 1);
    assert.deepStrictEqual(b.client.positions(), { "room:r": { epoch: "2", offset: 0 } });
  },

  async "handlers go"() {
    const b = new Bench(), heard = [], handler = (m) => heard.push(m.data);
    b.client.on("message", handler);
    b.client.on("message", handler);
    await b.welcome();
    await b.message(1);
    b.client.off("message", handler);
    b.client.off("nothing", handler);
    await b.message(2);
    assert.deepStrictEqual(heard, [1]);
  },

  async "time goes on when the clock is set back"() {
    const { now: real } = Date, client = new Warren("ws://a/ws", { WebSocket: class {} }), { now } = client.o;
    let wall = real();
    client.close();
    try {
      Date.now = () => wall;
      const from = now();
      for (const [step, passed] of [[20000, 20000], [-3600000, 20000], [10000, 30000]]) {
        wall += step;
        assert.strictEqual(now() - from, passed);
      }
    } finally {
      Date.now = real;
    }
  },

  async "close is the end"() {
    const b = new Bench();
    await b.welcome();
    b.client.close();
    assert.ok(b.sockets[0].isClosed);
    await b.pass(3600000);
    assert.deepStrictEqual([b.sockets.length, b.timers.size, b.client.state], [1, 0, "closed"]);
    await assert.rejects(b.client.join("r"), { code: "closed" });
    await assert.rejects(b.client.send("r", 1), { code: "closed" });
  },
};

(async () => {
  for (const [name, test] of Object.entries(tests)) {
    try {
      await test();
    } catch (error) {
      console.error(`FAILED: ${name}`);
      throw error;
    }
  }
  console.log(`${Object.keys(tests).length} tests`);
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
