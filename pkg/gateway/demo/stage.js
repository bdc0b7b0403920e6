"use strict";

/*
 * What moves over the picture: stars and fireflies, comments from right to left, hearts from below. Comments take the first lane that is free; when
 * all are taken one is not shown here (the list beside has them all), so that a flood costs no more than a full picture. Texts are text
 * (textContent), never markup.
 */
const COMMENTS_MAX = 64;
const HEARTS_MAX = 48;

class Stage {
  constructor(root) {
    this.root = root;
    this.flight = root.querySelector(".flight");
    this.heartLayer = root.querySelector(".hearts");
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
    this.lanes = []; // when each is free again
    this.skipped = 0;
    this.width = this.height = 0; // asking the layout for them with each comment would cost more than the comment
    new ResizeObserver(() => this.resize()).observe(this.flight);
    this.scatter(root.querySelector(".stars"), 70, (dot, random) => {
      dot.setAttribute("cx", random(1600));
      dot.setAttribute("cy", random(520));
      dot.setAttribute("r", 0.8 + random(1.8));
      dot.setAttribute("opacity", 0.25 + random(0.65));
    });
    this.scatter(root.querySelector(".fireflies"), 14, (dot, random) => {
      dot.setAttribute("cx", 60 + random(1480));
      dot.setAttribute("cy", 640 + random(210));
      dot.setAttribute("r", 2.5 + random(2));
      if (this.calm.matches) return;
      const away = `translate(${random(90) - 45}px, ${random(70) - 55}px)`;
      dot.animate([{ opacity: 0 }, { opacity: 0.95, offset: 0.4 }, { opacity: 0, transform: away }],
                  { duration: 3500 + random(5000), delay: random(4000), iterations: Infinity, direction: "alternate" });
    });
  }

  scatter(group, count, place) {
    for (let i = 0; i < count; i++) {
      const dot = document.createElementNS("http://www.w3.org/2000/svg", "circle");
      place(dot, (below) => Math.random() * below);
      group.append(dot);
    }
  }

  /** What flies was aimed at the old size. */
  resize() {
    this.width = this.flight.clientWidth;
    this.height = this.flight.clientHeight;
    this.lanes = [];
    this.flight.replaceChildren();
  }

  fly(text, isOwn) {
    const { height, width } = this, laneHeight = width < 600 ? 34 : 44;
    if (this.calm.matches || !width || document.hidden) return;
    const count = Math.max(1, Math.floor((height * 0.72) / laneHeight)), now = performance.now();
    const lane = Array.from({ length: count }, (_, i) => i).find((i) => !(this.lanes[i] > now));
    if (lane === undefined || this.flight.childElementCount >= COMMENTS_MAX) {
      this.skipped++;
      return;
    }
    const comment = document.createElement("span");
    comment.className = isOwn ? "comment own" : "comment";
    comment.textContent = text.length > 80 ? `${text.slice(0, 79)}…` : text;
    comment.style.top = `${8 + lane * laneHeight}px`;
    this.flight.append(comment);
    const own = comment.offsetWidth, speed = (width / 7000) * (1 + Math.min(own, 600) / 1500); // pixels a millisecond: long ones hurry
    this.lanes[lane] = now + (own + 40) / speed + (width / 7000 < speed ? 400 : 0);
    const motion = comment.animate([{ transform: `translateX(${width}px)` }, { transform: `translateX(${-own}px)` }], { duration: (width + own) / speed });
    motion.onfinish = () => comment.remove();
  }

  hearts(count) {
    const here = this.heartLayer.childElementCount;
    if (this.calm.matches || document.hidden) return;
    for (let i = 0; i < Math.min(count, 12, HEARTS_MAX - here); i++) {
      const heart = document.querySelector(".like svg").cloneNode(true);
      const size = 20 + Math.random() * 22, drift = Math.random() * 90 - 60, rise = this.heartLayer.clientHeight * (0.55 + Math.random() * 0.4);
      heart.setAttribute("class", `heart tone-${Math.floor(Math.random() * 5)}`);
      heart.setAttribute("width", size);
      heart.setAttribute("height", size);
      this.heartLayer.append(heart);
      heart.animate(
        [
          { transform: "translate(0, 0) scale(.3)", opacity: 0 },
          { transform: `translate(${-drift / 3}px, ${-rise * 0.2}px) scale(1.1) rotate(${drift / 8}deg)`, opacity: 1, offset: 0.2 },
          { transform: `translate(${drift / 2}px, ${-rise * 0.6}px) rotate(${-drift / 6}deg)`, opacity: 0.9, offset: 0.65 },
          { transform: `translate(${drift}px, ${-rise}px) rotate(${drift / 6}deg)`, opacity: 0 },
        ],
        { duration: 2200 + Math.random() * 1400, delay: i * 60, easing: "ease-out", fill: "both" }
      ).onfinish = () => heart.remove();
    }
  }
}
