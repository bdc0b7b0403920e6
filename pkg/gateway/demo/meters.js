"use strict";

/* What is measured here: round trips of the last few hundred comments and pings, and a minute of messages a second. */
class Trips {
  constructor(p50, p99) {
    this.fields = [[p50, 0.5], [p99, 0.99]];
    this.newest = [];
  }

  add(ms) {
    this.newest.push(ms);
    if (this.newest.length > 300) this.newest.shift();
    const sorted = [...this.newest].sort((a, b) => a - b);
    for (const [field, share] of this.fields) {
      const value = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
      field.textContent = value < 10 ? value.toFixed(1) : value.toFixed(0);
    }
  }
}

class Plot {
  constructor(canvas, rate) {
    this.canvas = canvas;
    this.rate = rate;
    this.seconds = new Array(60).fill(0); // whole ones; the one that runs is `now`
    this.now = 0;
    setInterval(() => this.turn(), 1000);
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  count() {
    this.now++;
  }

  turn() {
    this.seconds.push(this.now);
    this.seconds.shift();
    this.now = 0;
    this.rate.textContent = String(this.seconds[this.seconds.length - 1]);
    this.draw();
  }

  draw() {
    const { canvas, seconds } = this, scale = window.devicePixelRatio || 1;
    const width = canvas.clientWidth, height = canvas.clientHeight, g = canvas.getContext("2d"), style = getComputedStyle(canvas);
    if (!width || !height) return;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    g.scale(scale, scale);
    const top = Math.max(4, ...seconds), bar = width / seconds.length;
    g.fillStyle = style.getPropertyValue("--line");
    for (const line of [0, 0.5, 1]) g.fillRect(0, Math.round((height - 1) * line), width, 1);
    g.fillStyle = style.getPropertyValue("--accent");
    seconds.forEach((count, i) => {
      const h = count ? Math.max(2, (count / top) * (height - 2)) : 0;
      g.fillRect(i * bar + 0.5, height - h, Math.max(1, bar - 1), h);
    });
    g.fillStyle = style.color;
    g.font = "11px system-ui, sans-serif";
    g.fillText(String(top), 3, 12);
  }
}
