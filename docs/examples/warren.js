/*
 * A client of Warren in one file, for browsers and Node, without build step or dependencies; README.md beside it tells the rest.
 *
 *   const warren = new Warren(["wss://a.example/ws", "wss://b.example/ws"], { user: "ada" });
 *   warren.on("message", (m) => console.log(m.channel, m.from, m.data));
 *   await warren.join("lobby");
 *   await warren.send("lobby", { text: "hello" });  // resolves when accepted: once, however often the connection breaks
 *
 * It comes back after a loss, joins its rooms again where it had left off, repeats a send by its key until it is answered, and finds out that
 * a connection is dead. What it cannot repair, it tells.
 */
(function (root) {
  "use strict";
  let wall = Date.now(), passed = 0; // time goes on also when somebody sets the clock back, and while the machine sleeps
  const now = () => ([passed, wall] = [passed + Math.max(0, Date.now() - wall), Date.now()])[0];
  const DEFAULTS = {
    user: undefined, device: undefined, // who this is, with which device; without, the node makes up a name
    first: undefined, // the index of the address to begin with; else any, so that not everybody begins with the same
    query: {}, // more parameters of the URL, or a function that returns them for each connection (a token)
    positions: {}, // of an earlier life: what positions() gave
    WebSocket: root.WebSocket,
    window: 1, // sends under way at a time; 1 keeps them in order also when one is refused for a while
    maxPending: 1000, // sends that wait; beyond: "full"
    repeatForMs: 540000, // the server knows a key for key_age (10 min); later a repetition could publish twice
    backoffMs: 500, // the pause after the n-th failure in a row is a random part of backoffMs * 2^n,
    backoffMaxMs: 20000, // at most of this
    steadyMs: 10000, // a connection that held so long ends the row
    connectMs: 10000, // from the attempt to the welcome
    patienceMs: 10000, // from a ping to any sign of life
    now,
    random: () => Math.random(),
    setTimeout: (f, ms) => root.setTimeout(f, ms),
    clearTimeout: (timer) => root.clearTimeout(timer),
  };
  const RETRYABLE = ["unavailable", "busy", "rate_limited"];
  const failure = ({ code, message, retry_after_ms: retryAfterMs }) => Object.assign(new Error(message || code), { code, retryAfterMs });
  const isRoom = (channel) => channel.startsWith("room:");

  class Warren {
    constructor(urls, options) {
      this.o = { ...DEFAULTS, ...options };
      this.urls = [].concat(urls);
      this.turn = this.o.first === undefined ? Math.floor(this.o.random() * this.urls.length) : this.o.first;
      this.handlers = {};
      this.rooms = new Map(); // name → {options, joined, waiting: [{resolve, reject}]}
      this.known = new Map(Object.entries(this.o.positions)); // channel → {epoch, offset} up to which it was had
      this.byUrl = new Set(); // channels that the URL joins
      this.strays = new Set(); // ids of the newest messages without a position
      this.sends = new Map(); // those that were not answered, in order
      this.asked = new Map(); // id → what to do with the answer, on this connection
      this.lastId = this.failures = 0;
      this.state = "new"; // then connecting, open, waiting, connecting …; closed is for good
      this.wake = () => this.state === "waiting" && this._connect();
      if (root.addEventListener) root.addEventListener("online", this.wake);
      Promise.resolve().then(() => this._connect()); // handlers come first
    }

    on(name, handler) { (this.handlers[name] = this.handlers[name] || new Set()).add(handler); }
    off(name, handler) { if (this.handlers[name]) this.handlers[name].delete(handler); }

    /** Joins a room, and again on each connection. options: since {epoch, offset}; history: so many last messages; binary: binary frames go there. */
    join(room, options = {}) {
      if (this.state === "closed") return Promise.reject(failure({ code: "closed" }));
      const old = this.rooms.get(room), entry = old || { options, joined: false, waiting: [] };
      if (options.since && !old) this.known.set(`room:${room}`, options.since);
      this.rooms.set(room, entry);
      if (!old && this.state === "open") this._join(room, entry);
      if (entry.joined) return Promise.resolve({ channel: `room:${room}`, ...this.known.get(`room:${room}`) });
      return new Promise((resolve, reject) => entry.waiting.push({ resolve, reject }));
    }

    leave(room) {
      const entry = this.rooms.get(room);
      if (!entry) return;
      for (const [map, name] of [[this.rooms, room], [this.known, `room:${room}`]]) map.delete(name);
      for (const { reject } of entry.waiting) reject(failure({ code: "left" }));
      this.request("leave", { room }).catch(() => {});
    }

    /** To {message, epoch, offset}. The same key, also from another life of this program, is published once. */
    send(room, data, { key } = {}) { return this._publish({ op: "send", room, data, key }); }
    whisper(user, data, { key } = {}) { return this._publish({ op: "whisper", user, data, key }); }

    /** Any other operation, once: online {room}, history {room, limit, before}, like {room, n}, ack {channel, epoch, offset}. */
    request(op, members) {
      return new Promise((resolve, reject) => {
        if (this.state !== "open") return reject(failure({ code: "disconnected" }));
        this._ask({ op, ...members }, ({ ok, error }) => (error ? reject(failure(error)) : resolve(ok)));
      });
    }

    sendBinary(data) { return this.state === "open" && (this.socket.send(data), true); } // whether it was handed over; it is never repeated

    positions() { return Object.fromEntries(this.known); } // to be kept, and given to the next life as the option of this name
    close() { this._end(1000, "closed here"); }

    _connect() {
      if (this.state === "closed") return;
      this.o.clearTimeout(this.timer);
      [this.comeBackAt, this.openedAt] = [null, NaN];
      let socket;
      try {
        const url = new URL(this.urls[this.turn], root.location && root.location.href);
        url.protocol = url.protocol.replace("http", "ws");
        const query = typeof this.o.query === "function" ? this.o.query() : this.o.query;
        for (const [name, value] of Object.entries({ user: this.o.user, device: this.o.device, ...query }))
          if (value !== undefined) url.searchParams.set(name, value);
        for (const [channel, at] of this.known) // rooms are joined with theirs
          if (!isRoom(channel) || this.byUrl.has(channel)) url.searchParams.append("since", `${channel}@${at.epoch}:${at.offset}`);
        socket = new this.o.WebSocket(url.href, "warren.json.v1");
      } catch (error) {
        return this.urls.length > 1 ? this._lost(0, error.message) : this._end(0, error.message); // an address that is none
      }
      this.socket = Object.assign(socket, { binaryType: "arraybuffer" });
      socket.onmessage = (event) => socket === this.socket && this._receive(event.data);
      socket.onclose = (event) => socket === this.socket && this._lost(event.code, event.reason);
      socket.onerror = () => {}; // the close tells
      this.timer = this.o.setTimeout(() => this._lost(1006, "no welcome in time"), this.o.connectMs);
      this._state("connecting", { url: this.urls[this.turn] });
    }

    /** Takes leave of the connection without waiting for its end, which may never come. */
    _drop() {
      const { socket, asked } = this;
      [this.socket, this.asked] = [null, new Map()];
      for (const timer of [this.timer, this.beat, this.hold]) this.o.clearTimeout(timer);
      this.hold = null;
      for (const entry of this.rooms.values()) entry.joined = false;
      for (const entry of this.sends.values()) entry.isUnderWay = false;
      if (socket) socket.close(1000);
      return () => asked.forEach((done) => done({ error: { code: "disconnected", message: "lost before the answer" } }));
    }

    _lost(code, reason) {
      if (code >= 4500 && code < 4600) return this._end(code, reason); // we are asked not to come back
      if (this.o.now() - this.openedAt >= this.o.steadyMs) this.failures = 0;
      const limit = Math.min(this.o.backoffMaxMs, this.o.backoffMs * 2 ** Math.min(this.failures, 30));
      const isTold = this.comeBackAt !== null;
      const pauseMs = isTold ? Math.max(0, this.comeBackAt - this.o.now()) : this.o.random() * limit; // full jitter
      if (!isTold) this.failures++;
      this.turn = (this.turn + 1) % this.urls.length;
      const tell = this._drop();
      this.timer = this.o.setTimeout(() => this._connect(), pauseMs);
      this._state("waiting", { code, reason, pauseMs });
      tell();
    }

    _end(code, reason) {
      if (this.state === "closed") return;
      if (root.removeEventListener) root.removeEventListener("online", this.wake);
      const tell = this._drop(), error = failure({ code: "closed", message: `closed: ${code} ${reason}` });
      const waiting = [...this.sends.values(), ...[...this.rooms.values()].flatMap((entry) => entry.waiting)];
      for (const map of [this.sends, this.rooms]) map.clear();
      this._state("closed", { code, reason });
      tell();
      for (const { reject } of waiting) reject(error);
    }

    /** Looks at the clock once a heartbeat, not at every frame. */
    _heartbeat(pingedAt) {
      const now = this.o.now(), left = this.heardAt + this.heartbeatMs - now;
      if (this.heardAt < pingedAt) return this._lost(1006, "no sign of life");
      if (left <= 0) this._ask({ op: "ping" }, () => {});
      this.beat = left > 0 ? this.o.setTimeout(() => this._heartbeat(), left) : this.o.setTimeout(() => this._heartbeat(now), this.o.patienceMs);
    }

    _receive(data) {
      this.heardAt = this.o.now();
      if (typeof data !== "string") return this._emit("binary", data);
      const frame = JSON.parse(data), done = this.asked.get(frame.id);
      this.asked.delete(frame.id);
      if (done) done(frame);
      else if (frame.event === "message") this._message(frame);
      else if (frame.event === "welcome") this._welcome(frame);
      else if (frame.event === "goodbye") this.comeBackAt = this.o.now() + frame.retry_after_ms;
      else if (frame.event === "reset") this.known.set(frame.channel, { epoch: frame.epoch, offset: frame.offset });
      else if (frame.event === "gap" && this.known.has(frame.channel)) this.known.set(frame.channel, { ...this.known.get(frame.channel), offset: frame.to });
      else if (frame.error && frame.error.retry_after_ms) this._pause(frame.error);
      if (frame.event ? frame.event !== "message" : frame.error && !done) this._emit(frame.event || "error", frame.error || frame);
    }

    _welcome(frame) {
      this.o.clearTimeout(this.timer);
      this.openedAt = this.o.now();
      this.heartbeatMs = frame.heartbeat_s * 1000;
      this.byUrl = new Set(frame.channels.map((state) => state.channel));
      frame.channels.forEach((state) => this._stands(state));
      for (const [room, entry] of this.rooms) this._join(room, entry);
      this._heartbeat();
      this._state("open", { user: frame.user, session: frame.session, node: frame.node });
      this._pump();
    }

    /** A channel as it stood when we began to listen. If we said where we had left off, the catch-up follows, which moves our position. */
    _stands({ channel, epoch, offset, recovered }) {
      const at = this.known.get(channel);
      if (at && !recovered && epoch && at.offset === 0) { // it was empty; what has come since then, comes now
        this.known.set(channel, { epoch, offset: 0 });
      } else if (at) {
        if (!recovered && epoch && offset === 0) this.known.set(channel, { epoch, offset }); // nothing comes that would move it
        if (!recovered) this._emit("reset", { event: "reset", channel, epoch, offset });
      } else if (epoch && !channel.startsWith("user:")) { // an inbox gives what it has, from its beginning
        this.known.set(channel, { epoch, offset });
      }
    }

    _message(frame) {
      const { channel, epoch, offset, id } = frame, at = this.known.get(channel);
      if (epoch && at && at.epoch === epoch) {
        if (offset <= at.offset) return; // had
        if (offset > at.offset + 1) this._emit("gap", { event: "gap", channel, from: at.offset + 1, to: offset - 1 });
      } else if (!epoch && id) { // has no position; its id tells whether we had it
        if (this.strays.has(id)) return;
        if (this.strays.add(id).size > 256) this.strays.delete(this.strays.values().next().value);
      }
      if (epoch && (at || !isRoom(channel) || this.rooms.has(channel.slice(5)))) this.known.set(channel, { epoch, offset });
      this._emit("message", frame);
    }

    _ask(members, done) {
      this.asked.set(++this.lastId, done);
      this.socket.send(JSON.stringify({ id: this.lastId, ...members }));
    }

    _join(room, entry) {
      const { socket } = this, { binary, history } = entry.options, since = this.known.get(`room:${room}`); // undefined members are not written
      this._ask({ op: "join", room, since, binary, history: since ? undefined : history }, ({ ok, error }) => {
        if (this.rooms.get(room) !== entry || (error && error.code === "disconnected")) return;
        const again = () => this.socket === socket && this.rooms.get(room) === entry && this._join(room, entry); // the next connection asks itself
        if (error && RETRYABLE.includes(error.code)) return void this.o.setTimeout(again, this._after(error));
        entry.joined = !error;
        if (ok) this._stands(ok);
        for (const message of (ok && ok.messages) || []) this._emit("message", { ...message, isPast: true });
        if (error) this.rooms.delete(room);
        if (error && !entry.waiting.length) this._emit("error", { ...error, room });
        for (const { resolve, reject } of entry.waiting.splice(0)) error ? reject(failure(error)) : resolve(ok);
        this._pump();
      });
    }

    _publish(members) {
      members.key = members.key || Array.from({ length: 4 }, () => Math.floor(Math.random() * 2 ** 32).toString(36)).join("-");
      return new Promise((resolve, reject) => {
        if (this.state === "closed") return reject(failure({ code: "closed" }));
        if (this.sends.size >= this.o.maxPending) return reject(failure({ code: "full", message: "too many sends wait" }));
        this.sends.set({}, { members, resolve, reject, since: this.o.now(), isUnderWay: false });
        this._pump();
      });
    }

    /** What waits goes, in order, within the window; nothing passes one whose room is being joined. */
    _pump() {
      let free = this.o.window;
      if (this.state !== "open" || this.hold) return;
      for (const [name, entry] of this.sends) {
        const room = this.rooms.get(entry.members.room);
        if (entry.isUnderWay) {
          free--;
        } else if (this.o.now() - entry.since > this.o.repeatForMs) {
          this.sends.delete(name);
          entry.reject(failure({ code: "unanswered", message: "too old to be repeated; it may have been published" }));
        } else if (free-- <= 0 || (room && !room.joined)) {
          return;
        } else {
          entry.isUnderWay = true;
          this._ask(entry.members, (answer) => this._sent(name, entry, answer));
        }
      }
    }

    _sent(name, entry, { ok, error }) {
      if (error && error.code === "disconnected") return; // the next connection repeats it
      entry.isUnderWay = false;
      if (error && RETRYABLE.includes(error.code)) return this._pause(error);
      this.sends.delete(name);
      error ? entry.reject(failure(error)) : entry.resolve(ok);
      this._pump();
    }

    _after(error) { return error.retry_after_ms || this.o.backoffMs * (1 + this.o.random()); }

    _pause(error) { // no sends until then
      this.o.clearTimeout(this.hold);
      this.hold = this.o.setTimeout(() => this._pump((this.hold = null)), this._after(error));
    }

    _state(state, detail) { this._emit("state", { state: (this.state = state), ...detail }); }

    _emit(name, value) {
      for (const handler of this.handlers[name] || []) {
        try { handler(value); } catch (error) { root.setTimeout(() => { throw error; }); } // theirs, and not to stop us
      }
    }
  }

  if (typeof module === "object" && module.exports) module.exports = Warren;
  else root.Warren = Warren;
})(typeof globalThis === "object" ? globalThis : self);
