/*
 * The fan-out of `warren-bench fanout` by other hands: Node and its ws, which parse every frame as JSON. What it is for is not speed but to
 * see whether the tool of our own counts what others count, and whether it is a slow yardstick.
 *
 *   independent.js URLS PIDS ROOMS CLIENTS WINDOW SECONDS
 *
 * Each room has CLIENTS, the first of which sends; WINDOW messages of 128 bytes are under way at once, and one has arrived when the last of
 * its room's listeners has it. Prints one JSON object; exit code 1 if anything was lost, doubled or out of order.
 */
"use strict";
const fs = require("fs");
const WebSocket = require("ws");

const [urls, pids, rooms, clients, window_, seconds] = [
  process.argv[2].split(","), process.argv[3].split(","), ...process.argv.slice(4).map(Number)];
const WARMUP_MS = 2000, SETTLE_MS = 500, PADDING = "x".repeat(100);
const run = require("crypto").randomBytes(6).toString("hex");

/** One at a time: number -> { left: listeners that have not got it, sent: ms }. */
const underWay = new Map();
const counts = { messages: 0, deliveries: 0, lost: 0, doubled: 0, disordered: 0 };
const latencies = [];
const speakers = [];
let next = 0, isMeasured = false, isOver = false;

function nodeCpuSeconds() {
  const ticks = (pid) => {
    const fields = fs.readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1].split(" ");
    return Number(fields[11]) + Number(fields[12]);
  };
  return pids.reduce((sum, pid) => sum + ticks(pid), 0) / 100;
}

function speak() {
  while (!isOver && underWay.size < window_) {
    const number = next++, room = number % rooms;
    underWay.set(number, { left: clients, sent: performance.now() });
    speakers[room].send(JSON.stringify({ op: "send", id: number + 1, room: `${run}-${room}`, data: `${String(number).padStart(12, "0")}:${PADDING}` }));
  }
}

function onFrame(listener, frame) {
  const event = JSON.parse(frame);
  if (event.error) throw new Error(`refused: ${frame}`);
  if (event.event !== "message") return;
  const number = Number(event.data.split(":")[0]), message = underWay.get(number);
  counts.deliveries++;
  if (number <= listener.last) counts[number === listener.last || !message ? "doubled" : "disordered"]++;
  listener.last = Math.max(listener.last, number);
  if (!message || --message.left > 0) return;
  underWay.delete(number);
  counts.messages++;
  if (isMeasured) latencies.push(performance.now() - message.sent);
  speak();
}

function connect(room, index) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`${urls[(room + index) % urls.length]}/websocket/${run}-${room}/${room}-${index}`, { perMessageDeflate: false });
    const listener = { last: -1 };
    socket.on("message", (frame) => onFrame(listener, frame));
    socket.once("message", () => resolve(socket));
    socket.on("error", reject);
    socket.on("close", () => isOver || reject(new Error("closed")));
  });
}

const after = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function main() {
  for (let room = 0; room < rooms; room++) speakers.push((await Promise.all(Array.from({ length: clients }, (_, i) => connect(room, i))))[0]);
  await after(1500);
  speak();
  await after(WARMUP_MS);
  const before = { ...counts }, cpu = nodeCpuSeconds(), own = process.cpuUsage(), from = performance.now();
  isMeasured = true;
  await after(seconds * 1000);
  const took = (performance.now() - from) / 1000, deliveries = counts.deliveries - before.deliveries;
  const nodes = nodeCpuSeconds() - cpu, tool = process.cpuUsage(own);
  isOver = true;
  for (let waited = 0; underWay.size > 0 && waited < 10000; waited += 50) await after(50);
  await after(SETTLE_MS);
  for (const message of underWay.values()) counts.lost += message.left;
  latencies.sort((a, b) => a - b);
  const at = (part) => Number((latencies[Math.floor(latencies.length * part)] || 0).toFixed(1));
  console.log(JSON.stringify({
    by: `Node ${process.version}, ws`, messages_per_s: Math.round((counts.messages - before.messages) / took), deliveries_per_s: Math.round(deliveries / took),
    node_cpu_s_per_million: Number((nodes / deliveries * 1e6).toFixed(3)),
    tool_cpu_s_per_million: Number(((tool.user + tool.system) / deliveries).toFixed(3)),
    latency_of_the_last_ms: { p50: at(0.5), p99: at(0.99) }, lost: counts.lost, doubled: counts.doubled, disordered: counts.disordered,
  }));
  process.exit(counts.lost + counts.doubled + counts.disordered > 0 ? 1 : 0);
}

main().catch((error) => {
  console.error(`independent.js: ${error.message}`);
  process.exit(3);
});
