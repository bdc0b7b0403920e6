"use strict";

/*
 * The demonstration page: a live room. One client (warren.js) with one WebSocket, which begins on the node that served the page and goes to another
 * one when this one goes. Whatever comes from others is put on the page as text (textContent), never as markup.
 *
 * Parameters: room, name (joins at once), other (addresses of further nodes, repeatable).
 */

const LOG_ENTRIES = 300;
const PEOPLE_SHOWN = 200;
const HISTORY = 30;
const NEAR_END = 40; // pixels from the end of the log that still count as the end
const PING_EVERY_MS = 2000;
const LIKES_EVERY_MS = 250;
const CHATTER_EVERY_MS = 350;
const CHATTER = ["good evening!", "first!", "hello from the burrow", "the moon is huge tonight", "who else is on their phone?", "233333",
  "nice", "can you hear us?", "what song is this?", "greetings from node to node", "晚上好", "こんばんは", "so calm here", "look, a rabbit", "one more!", "♪♪♪"];

const find = (selector) => document.querySelector(selector);
/** Tells this page's messages from those of other pages, whose clocks are not ours. */
const PAGE = crypto.getRandomValues(new Uint32Array(2)).join("-");
const parameters = new URLSearchParams(location.search);

const stage = new Stage(find(".stage"));
const plot = new Plot(find(".plot"), find(".rate"));
const trips = new Trips(find(".trip-p50"), find(".trip-p99"));
const pings = new Trips(find(".ping-p50"), find(".ping-p99"));

let client = null;
let room = "";
let name = "";
let users = new Set();
let hasNames = true; // there are rooms whose users are counted only
let meanwhile = new Map(); // who came (true) or went while the list is being read, whose answer may be older
let peopleTimer = 0;
let likes = null; // as the room has it; null: not known
let ownLikes = 0; // not told to the node yet
let atEnd = true; // the newest message is followed
let end = 0; // the place in the log where it was scrolled to last
let size = ""; // of the log, as it was laid out last

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function showTime(ms) {
  return new Date(ms).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false });
}

/** {"text"} is ours, {"t"} that of a replayed audience. */
function showData(data) {
  if (typeof data === "string") return data;
  for (const member of ["text", "t"]) if (data && typeof data === "object" && typeof data[member] === "string") return data[member];
  return JSON.stringify(data);
}

/* ---- connection ---- */

function addresses() {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const port = Number(location.port || (scheme === "wss:" ? 443 : 80));
  const others = parameters.getAll("other");
  // Two nodes on one machine, as scripts/run starts them, have an odd port and the next one.
  if (!others.length) others.push(`${scheme}//${location.hostname}:${port % 2 ? port + 1 : port - 1}/ws`);
  return [`${scheme}//${location.host}/ws`, ...others];
}

function setState(kind, text) {
  find(".state").dataset.state = kind;
  find(".state").textContent = text;
}

function enable(on) {
  for (const selector of [".composer .text", ".send", ".chatter"]) find(selector).disabled = !on;
  find(".like").disabled = !on || find(".like").dataset.is === "unknown";
}

function connect() {
  if (client) client.close();
  setChatter(false);
  find(".log").replaceChildren();
  follow(true);
  likes = null;
  showPeople(null);
  find(".room-name").textContent = room;
  find(".own-name").textContent = name;
  find(".where").hidden = false;
  focusComposer.wanted = find("#join").contains(document.activeElement);
  showJoin(false);
  find(".badges").hidden = false;
  const mine = new Warren(addresses(), { user: name, first: 0 });
  const on = (event, handler) => mine.on(event, (value) => client === mine && handler(value));
  client = mine;
  on("state", onState);
  on("message", onMessage);
  on("online", onOnline);
  on("likes", onLikes);
  on("reset", () => note("What was said meanwhile is gone."));
  on("gap", (gap) => note(`${gap.to - gap.from + 1} messages were left out.`));
  on("goodbye", (goodbye) => note(`This node ends; moving on in ${(goodbye.retry_after_ms / 1000).toFixed(1)} s.`));
  on("error", (error) => note(`${error.code}: ${error.message}`));
  mine.join(room, { history: HISTORY }).then(() => client === mine && note(`${name} joined ${room}`), () => {});
}

/** A room's state is asked for when it is joined on this connection, which is before the client says it is open again. */
function onState(s) {
  enable(s.state === "open");
  if (s.state === "open") {
    setState("on", "connected");
    find(".state").title = `Node ${s.node}, session ${s.session}`;
    if (find(".state").dataset.node && find(".state").dataset.node !== s.node) note(`Now on node ${s.node}.`);
    find(".state").dataset.node = s.node;
    document.title = `${room} – Warren`;
    focusComposer();
    client.join(room).then(onRoom).catch(() => {});
  } else if (s.state === "connecting") {
    setState("wait", "connecting");
  } else if (s.state === "waiting") {
    setState("bad", "reconnecting");
    find(".state").title = `Lost: ${s.code} ${s.reason}`;
  } else {
    setState("bad", `closed: ${s.code} ${s.reason}`);
    showJoin(true);
  }
}

/** The form over the picture. */
function showJoin(on) {
  find("#join").hidden = !on;
  find(".where").setAttribute("aria-expanded", String(on));
  if (on) find("#room").focus();
}

/** Who came from the form goes on where one speaks, once one may; not on a phone, whose keyboard would cover the room. */
function focusComposer() {
  if (focusComposer.wanted && !matchMedia("(pointer: coarse)").matches) find(".composer .text").focus();
  focusComposer.wanted = false;
}

/* ---- what was said ---- */

function append(entry) {
  const log = find(".log");
  log.append(entry);
  while (log.childElementCount > LOG_ENTRIES) log.firstElementChild.remove();
  scrollToEnd();
}

/** Whoever reads further up stays there. Once a frame, for it makes the browser lay out the page, which is dear in a flood. */
function scrollToEnd() {
  if (scrollToEnd.frame) return;
  scrollToEnd.frame = requestAnimationFrame(() => {
    scrollToEnd.frame = 0;
    scrollNow();
  });
}

function scrollNow() {
  const log = find(".log");
  if (!atEnd) return;
  log.scrollTop = log.scrollHeight;
  end = log.scrollTop;
}

/**
 * Whether the reader is at the end, still or again. Not by the distance to it alone: between an entry and the frame that
 * scrolls to it an event of the last scrolling may come, and nobody has gone away from an end that has gone away itself.
 */
function onScroll() {
  const log = find(".log");
  if (size !== `${log.clientWidth} ${log.clientHeight}`) return; // not the reader scrolls but the layout, see onSize
  follow(log.scrollHeight - log.scrollTop - log.clientHeight < NEAR_END || (atEnd && log.scrollTop > end - NEAR_END));
}

/** Within the frame that lays out anew: every event that follows finds the end where it belongs. */
function onSize() {
  const log = find(".log");
  size = `${log.clientWidth} ${log.clientHeight}`;
  scrollNow();
}

/** Who reads further up is held by the browser (overflow-anchor), who follows is not: this scrolls. */
function follow(on) {
  atEnd = on;
  find(".log").classList.toggle("reading", !on);
}

function note(text) {
  append(element("li", "note", text));
}

function onMessage(frame) {
  const isOwn = frame.from === name, data = frame.data, text = showData(data);
  const entry = element("li", isOwn ? "message own" : "message"), time = element("time", "time", showTime(frame.time));
  if (!frame.isPast) {
    plot.count();
    stage.fly(text, isOwn);
  }
  time.dateTime = new Date(frame.time).toISOString();
  entry.append(element("span", "from", frame.from === undefined ? "back end" : frame.from), element("span", "text", text), time);
  if (data && typeof data === "object" && data.page === PAGE && typeof data.sent === "number") {
    const ms = performance.now() - data.sent;
    trips.add(ms);
    entry.append(element("span", "latency", `${ms.toFixed(ms < 10 ? 1 : 0)} ms`));
  }
  if (frame.channel !== `room:${room}`) entry.append(element("span", "channel", frame.channel));
  append(entry);
}

/** What is said while the connection is away waits, and goes out once. */
function say(text) {
  client.send(room, { text, sent: performance.now(), page: PAGE }).catch((error) => note(`not sent: ${error.code}: ${error.message}`));
}

function setChatter(on) {
  const button = find(".chatter");
  button.setAttribute("aria-pressed", String(on));
  clearInterval(setChatter.timer);
  if (on) setChatter.timer = setInterval(() => client.state === "open" && say(CHATTER[Math.floor(Math.random() * CHATTER.length)]), CHATTER_EVERY_MS);
}

/* ---- who is here ---- */

/** The state that a room's newcomer gets. */
function onRoom(state) {
  if (typeof state.online === "number") showPeople(state.online);
  if (typeof state.likes === "number") onLikes({ room, total: state.likes });
  readPeople();
}

/** All pages of who is here; later events say what changes. */
async function readPeople() {
  const mine = client, all = new Set();
  let page, after;
  meanwhile = new Map();
  try {
    do {
      page = await mine.request("online", { room, limit: PEOPLE_SHOWN, after });
      for (const user of page.users) all.add(user);
      after = page.next;
    } while (after !== undefined && all.size < PEOPLE_SHOWN);
  } catch (error) {
    return; // the connection went, or the store is away; the next event tells
  }
  if (client !== mine) return;
  users = all;
  hasNames = all.size > 0 || page.count === 0;
  for (const [user, isHere] of meanwhile) users[isHere ? "add" : "delete"](user);
  showPeople(page.count);
}

function onOnline(frame) {
  if (frame.room !== room) return;
  for (const [list, isHere] of [[frame.joined, true], [frame.left, false]]) {
    for (const user of list || []) {
      users[isHere ? "add" : "delete"](user);
      meanwhile.set(user, isHere);
    }
  }
  showPeople(frame.count);
  // Not everyone was named, or we were slow and an event was left out: ask, but not all clients at the same moment.
  const isKnown = users.size === frame.count || (users.size >= PEOPLE_SHOWN && users.size < frame.count);
  if (hasNames && !isKnown && !peopleTimer) {
    peopleTimer = setTimeout(() => {
      peopleTimer = 0;
      if (client && client.state === "open") readPeople();
    }, Math.random() * 2000);
  }
}

function showPeople(count) {
  if (count === null) {
    users = new Set();
    hasNames = true;
  }
  const names = [...users].sort((a, b) => a.localeCompare(b)).slice(0, PEOPLE_SHOWN);
  const entries = names.map((user) => element("li", user === name ? "self" : "", user));
  if (count !== null && count > names.length) entries.push(element("li", "rest", `and ${(count - names.length).toLocaleString()} more`));
  find(".people").replaceChildren(...entries);
  find(".count").textContent = count === null ? "–" : count.toLocaleString();
}

/* ---- likes ---- */

function onLikes(frame) {
  if (frame.room !== room || typeof frame.total !== "number") return;
  if (likes !== null && frame.total > likes) stage.hearts(frame.total - likes - (onLikes.own || 0)); // ours have flown
  onLikes.own = 0;
  likes = frame.total;
  find(".likes").textContent = likes.toLocaleString();
  find(".like-badge").hidden = false;
}

function sendLikes() {
  const n = ownLikes;
  if (!n || !client || client.state !== "open") return;
  ownLikes = 0;
  onLikes.own = (onLikes.own || 0) + n;
  client.request("like", { room, n }).catch((error) => {
    if (error.code === "unknown_op") {
      find(".like").dataset.is = "unknown"; // a node of before likes
      find(".like").disabled = true;
    }
  });
}

/* ---- the page ---- */

find("#join").addEventListener("submit", (event) => {
  event.preventDefault();
  room = find("#room").value;
  name = find("#name").value;
  if (room && name) connect();
});
find(".where").addEventListener("click", () => showJoin(find("#join").hidden));
find("#join").addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !client || client.state === "closed") return;
  showJoin(false);
  find(".where").focus();
});
find(".composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = find(".composer .text");
  if (!text.value.trim() || !client) return;
  say(text.value);
  text.value = "";
  text.focus();
});
find(".chatter").addEventListener("click", () => setChatter(find(".chatter").getAttribute("aria-pressed") !== "true"));
find(".like").addEventListener("click", () => {
  ownLikes++;
  stage.hearts(1);
});
setInterval(sendLikes, LIKES_EVERY_MS);
setInterval(() => {
  if (!client || client.state !== "open") return;
  const sent = performance.now();
  client.request("ping").then(() => pings.add(performance.now() - sent), () => {});
}, PING_EVERY_MS);

find(".log").addEventListener("scroll", onScroll);
new ResizeObserver(onSize).observe(find(".log"));

find("#name").value = parameters.get("name") || `guest-${Math.floor(Math.random() * 9000 + 1000)}`;
if (parameters.get("room")) find("#room").value = parameters.get("room");
if (parameters.get("name")) find("#join").requestSubmit();
