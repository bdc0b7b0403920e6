/*
 * What the test of docs/examples/warren.js runs in Node and in a browser: one client that says numbers, one that listens, over the same nodes.
 * Keeps all that comes.
 */
(function (root) {
  "use strict";

  function begin(Warren, urls, options) {
    const AHEAD = 200; // as many numbers may wait for an answer: where they take longer than a number's time, no more wait than a client keeps
    const report = { said: 0, answered: 0, failed: [], heard: { talker: [], listener: [] }, told: [], states: [], nodes: {} };
    const make = (name) => {
      const client = new Warren(urls, { user: name, backoffMs: 200, backoffMaxMs: 1000, patienceMs: 2000, ...options });
      client.on("message", (m) => m.channel === "room:numbers" && report.heard[name].push(m.data));
      for (const event of ["reset", "gap", "error"]) client.on(event, (e) => report.told.push([name, e]));
      client.on("state", (s) => {
        report.states.push([name, s.state, s.code, s.reason, Math.round(s.pauseMs)]);
        if (s.node) report.nodes[name] = s.node;
      });
      return client;
    };
    const talker = make("talker"), listener = make("listener");
    let stopping = false;
    const joined = Promise.all([talker.join("numbers"), listener.join("numbers")]);
    const say = async () => {
      await joined;
      while (!stopping) {
        if (report.said - report.answered < AHEAD) {
          const number = ++report.said;
          talker.send("numbers", number).then(() => report.answered++, (error) => report.failed.push([number, error.code, error.message]));
        }
        await new Promise((resolve) => root.setTimeout(resolve, 10));
      }
    };
    say();
    return {
      report,
      stop: () => { stopping = true; },
      close: () => { talker.close(); listener.close(); },
    };
  }

  if (typeof module === "object" && module.exports) {
    const ws = typeof WebSocket === "function" ? WebSocket : require("ws");
    const scenario = begin(require("../../docs/examples/warren.js"), JSON.parse(process.argv[2]), { WebSocket: ws });
    require("readline").createInterface({ input: process.stdin }).on("line", (order) => {
      if (order !== "report") scenario[order]();
      process.stdout.write(JSON.stringify(scenario.report) + "\n");
    }).on("close", () => process.exit(0));
  } else {
    root.begin = begin;
  }
})(globalThis);
