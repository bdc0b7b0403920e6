"use strict";

/*
 * The demonstration page: two panes, each a client of its own on a node of its own, in the same room.
 *
 * Whatever comes from others is put on the page as text (textContent), never as markup. Each pane keeps one socket; a lost one is replaced after
 * a growing pause with jitter, or after what the server's goodbye asked for.
 */

const LOG_ENTRIES = 300;
const PEOPLE_SHOWN = 200;
const RETRY_FIRST_MS = 500;
const RETRY_LAST_MS = 15000;
const STEADY_MS = 10000;
const NO_RETURN_CODE = 4500; // codes from here on ask the client not to come back

const byId = (id) => document.getElementById(id);

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function showTime(ms) {
  return new Date(ms).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
}

function showData(data) {
  if (typeof data === "string") return data;
  if (data && typeof data === "object" && typeof data.text === "string") return data.text;
  return JSON.stringify(data);
}

class Pane {
  constructor(key, title, url) {
    const root = byId("pane").content.firstElementChild.cloneNode(true);
    const find = (selector) => root.querySelector(selector);
    this.root = root;
    this.title = title;
    this.state = find(".state");
    this.about = find(".about");
    this.log = find(".log");
    this.people = find(".people");
    this.count = find(".count");
    this.url = find(".node-url");
    this.composer = find(".composer");
    this.text = find(".composer .text");
    this.send = find(".send");
    this.socket = null;
    this.timer = 0;
    this.retryMs = RETRY_FIRST_MS;
    this.requests = new Map();
    this.nextId = 1;
    this.users = new Set();
    this.joinedMeanwhile = new Set(); // while the list is being read, whose answer may be older
    this.allNamed = false;
    this.peopleTimer = 0;
    this.atEnd = true;
    root.dataset.pane = key;
    root.setAttribute("aria-label", title);
    find(".title").textContent = title;
    this.state.setAttribute("aria-label", `Connection of ${title}`);
    this.url.setAttribute("aria-label", `WebSocket address of ${title}`);
    this.log.setAttribute("aria-label", `Messages at ${title}`);
    this.people.setAttribute("aria-label", `People in the room, as ${title} sees it`);
    this.text.setAttribute("aria-label", `Message to send at ${title}`);
    this.url.value = url;
    let size = "";
    const sizeNow = () => `${this.log.clientWidth} ${this.log.clientHeight}`;
    this.log.addEventListener("scroll", () => {
      if (size !== sizeNow()) return; // not the reader scrolls but the layout
      this.atEnd = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 40;
    });
    new ResizeObserver(() => {
      size = sizeNow();
      this.scrollToEnd();
    }).observe(this.log);
    this.composer.addEventListener("submit", (event) => {
      event.preventDefault();
      this.sendText();
    });
    this.url.addEventListener("change", () => {
      if (this.room) this.connect(this.room, this.name);
    });
  }

  setState(kind, text) {
    this.state.dataset.state = kind;
    this.state.textContent = text;
    const on = kind === "on";
    this.text.disabled = !on;
    this.send.disabled = !on;
  }

  note(text) {
    this.append(element("li", "note", text));
  }

  append(entry) {
    this.log.append(entry);
    while (this.log.childElementCount > LOG_ENTRIES) this.log.firstElementChild.remove();
    this.scrollToEnd();
  }

  /** Whoever reads further up stays there. */
  scrollToEnd() {
    if (this.atEnd) this.log.scrollTop = this.log.scrollHeight;
  }

  connect(room, name) {
    this.room = room;
    this.name = name;
    this.retryMs = RETRY_FIRST_MS;
    this.log.replaceChildren();
    this.atEnd = true;
    this.open();
  }

  drop() {
    clearTimeout(this.timer);
    const socket = this.socket;
    this.socket = null;
    this.requests.clear();
    this.users.clear();
    this.allNamed = false;
    this.showPeople(null);
    if (socket) socket.close(1000);
  }

  open() {
    this.drop();
    this.retryAfterMs = null;
    this.setState("wait", "connecting");
    this.about.textContent = "";
    let socket;
    try {
      const url = new URL(this.url.value.trim());
      if (url.protocol !== "ws:" && url.protocol !== "wss:") throw new Error("it must begin with ws:// or wss://");
      url.searchParams.set("user", this.name);
      socket = new WebSocket(url, "warren.json.v1");
    } catch (error) {
      this.setState("bad", "bad address");
      this.about.textContent = error.message;
      return;
    }
    this.socket = socket;
    socket.onmessage = (event) => {
      if (socket === this.socket && typeof event.data === "string") this.receive(JSON.parse(event.data));
    };
    socket.onclose = (event) => {
      if (socket === this.socket) this.lost(event);
    };
  }

  lost(event) {
    this.drop();
    const why = event.reason ? `${event.code} ${event.reason}` : String(event.code);
    if (this.steadySince && Date.now() - this.steadySince > STEADY_MS) this.retryMs = RETRY_FIRST_MS;
    this.steadySince = 0;
    if (event.code >= NO_RETURN_CODE) {
      this.setState("bad", `closed: ${why}`);
      return;
    }
    // Half fixed, half random: those who were cut off together do not come back together.
    const pause = this.retryAfterMs ?? this.retryMs / 2 + Math.random() * (this.retryMs / 2);
    this.retryMs = Math.min(this.retryMs * 2, RETRY_LAST_MS);
    this.setState("bad", "reconnecting");
    this.about.textContent = `Lost (${why}); trying again in ${(pause / 1000).toFixed(1)} s.`;
    this.timer = setTimeout(() => this.open(), pause);
  }

  request(op, members, done) {
    const id = this.nextId++;
    this.requests.set(id, done || (() => {}));
    this.socket.send(JSON.stringify({ id, op, ...members }));
  }

  receive(frame) {
    if (frame.event === "welcome") this.welcome(frame);
    else if (frame.event === "message") this.message(frame);
    else if (frame.event === "online") this.online(frame);
    else if (frame.event === "goodbye") this.retryAfterMs = frame.retry_after_ms;
    else if (frame.error) this.note(`${frame.error.code}: ${frame.error.message}`);
    if (frame.id !== undefined) {
      const done = this.requests.get(frame.id);
      this.requests.delete(frame.id);
      if (done && frame.ok) done(frame.ok);
    }
  }

  welcome(frame) {
    this.about.textContent = `Node ${frame.node}, session ${frame.session}`;
    this.request("join", { room: this.room }, () => {
      this.steadySince = Date.now();
      this.setState("on", "connected");
      this.note(`${this.name} joined ${this.room}`);
      this.readPeople();
    });
  }

  /** All pages of who is here; later events say what changes. */
  readPeople(after, users = new Set()) {
    const members = { room: this.room, limit: PEOPLE_SHOWN };
    if (after !== undefined) members.after = after;
    else this.joinedMeanwhile.clear();
    this.request("online", members, (page) => {
      for (const user of page.users) users.add(user);
      if (page.next !== undefined && users.size < PEOPLE_SHOWN) {
        this.readPeople(page.next, users);
        return;
      }
      this.users = new Set([...users, ...this.joinedMeanwhile]);
      this.allNamed = page.next === undefined;
      this.showPeople(page.count);
    });
  }

  online(frame) {
    if (frame.room !== this.room) return;
    for (const user of frame.joined) {
      this.users.add(user);
      this.joinedMeanwhile.add(user);
    }
    this.showPeople(frame.count);
    // Who left one node may be on another one still, and not everyone was named: ask, but not all clients at the same moment.
    const pause = frame.more > 0 ? 2000 : 400;
    if ((frame.more > 0 || frame.left.length > 0) && !this.peopleTimer) {
      this.peopleTimer = setTimeout(() => {
        this.peopleTimer = 0;
        if (this.socket && this.state.dataset.state === "on") this.readPeople();
      }, Math.random() * pause);
    }
  }

  /** The count is a sum over the nodes, where someone with panes on two stands twice; names, once all are known, do not lie. */
  showPeople(sum) {
    const count = this.allNamed && sum !== null ? this.users.size : sum;
    const names = [...this.users].sort((a, b) => a.localeCompare(b)).slice(0, PEOPLE_SHOWN);
    const entries = names.map((name) => element("li", name === this.name ? "self" : "", name));
    if (count !== null && count > names.length) entries.push(element("li", "rest", `and ${count - names.length} more`));
    this.people.replaceChildren(...entries);
    this.count.textContent = count === null ? "–" : String(count);
  }

  message(frame) {
    const own = frame.from === this.name;
    const entry = element("li", own ? "message own" : "message");
    const meta = element("div", "meta");
    const sent = frame.data && typeof frame.data === "object" ? frame.data.sent : undefined;
    // The page's own clock where one of its panes wrote the message, else the node's.
    const latency = typeof sent === "number" && frame.data.page === PAGE ? performance.now() - sent : Date.now() - frame.time;
    const time = element("time", "time", showTime(frame.time));
    time.dateTime = new Date(frame.time).toISOString();
    meta.append(
      element("span", "from", frame.from === undefined ? "back end" : frame.from),
      time,
      element("span", "latency", `${Math.max(0, latency).toFixed(latency < 10 ? 1 : 0)} ms`)
    );
    entry.append(meta, element("div", "text", showData(frame.data)));
    if (frame.channel !== `room:${this.room}`) meta.append(element("span", "channel", frame.channel));
    this.append(entry);
  }

  sendText() {
    const text = this.text.value;
    if (!text.trim() || !this.socket || this.text.disabled) return;
    const data = { text, sent: performance.now(), page: PAGE };
    this.request("send", { room: this.room, data, key: crypto.getRandomValues(new Uint32Array(4)).join("-") });
    this.text.value = "";
    this.text.focus();
  }
}

/** Tells this page's messages from those of other pages, whose clocks are not ours. */
const PAGE = crypto.getRandomValues(new Uint32Array(2)).join("-");

function nodeUrl(portStep) {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const port = Number(location.port || (scheme === "wss:" ? 443 : 80));
  return `${scheme}//${location.hostname}:${port + portStep}/ws`;
}

const parameters = new URLSearchParams(location.search);
const panes = [
  new Pane("a", "This node", nodeUrl(0)),
  new Pane("b", "The other node", parameters.get("other") || nodeUrl(1)),
];

byId("panes").append(...panes.map((pane) => pane.root));
byId("name").value = parameters.get("name") || `guest-${Math.floor(Math.random() * 9000 + 1000)}`;
if (parameters.get("room")) byId("room").value = parameters.get("room");
byId("join").addEventListener("submit", (event) => {
  event.preventDefault();
  const room = byId("room").value;
  const name = byId("name").value;
  if (!room || !name) return;
  for (const pane of panes) pane.connect(room, name);
});
