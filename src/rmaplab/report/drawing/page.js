"use strict";
// Each film: its steps, what each moment shows otherwise than the one before, and who counted.
const films = JSON.parse(document.getElementById("films").textContent);

class Film {
  constructor(told, number) {
    this.told = told;
    this.root = document.getElementById(`film${number}`);
    this.slider = this.root.querySelector("input");
    this.boxes = told.boxes.map((_, n) => document.getElementById(`f${number}b${n}`));
    this.arrows = told.arrows.map((_, n) => document.getElementById(`f${number}e${n}`));
    this.shown = { boxes: new Map(), arrows: new Map(), lit: [] };
    this.at = -1;
    this.letter = "ab"[number];
    this.makeSteps();
    this.makeLedger();
    this.slider.addEventListener("input", () => go(this, Number(this.slider.value)));
    for (const button of this.root.querySelectorAll("[data-go]"))
      button.addEventListener("click", () => go(this, this.towards(button.dataset.go)));
  }

  get last() { return this.told.steps.length; }

  towards(what) {
    return { first: 0, back: this.at - 1, on: this.at + 1, last: this.last }[what];
  }

  makeSteps() {
    const [head] = this.root.querySelectorAll(".steps thead");
    const title = this.told.cpus.map(([cpu, task]) => `CPU${cpu} (${task})`);
    head.append(row("th", ["", ...title]));
    const body = this.root.querySelector(".steps tbody");
    this.rows = this.told.steps.map((step, n) => {
      const cells = this.told.cpus.map(([cpu]) => (cpu === step.cpu ? words(step) : ""));
      const line = row("td", ["", ...cells]);
      line.title = `${step.call}  ${step.source}`;
      const link = document.createElement("a");
      link.href = `#${this.letter}=${n + 1}`;
      link.textContent = n + 1;
      line.firstChild.append(link);
      line.addEventListener("click", (event) => { event.preventDefault(); go(this, n + 1); });
      body.append(line);
      return line;
    });
  }

  makeLedger() {
    const select = this.root.querySelector("select");
    for (const label of Object.keys(this.told.counted)) select.add(new Option(label));
    select.value = this.told.about in this.told.counted ? this.told.about : select.value;
    select.addEventListener("change", () => this.showLedger());
    this.select = select;
  }

  // What is to be seen at a moment, from the first one on.
  view(at) {
    const boxes = new Map(), arrows = new Map();
    for (const moment of this.told.moments.slice(0, at + 1)) {
      for (const [n, box] of Object.entries(moment.boxes)) boxes.set(Number(n), box);
      for (const [n, arrow] of Object.entries(moment.arrows)) arrows.set(Number(n), arrow);
    }
    return { boxes, arrows, lit: this.told.moments[at].lit };
  }

  show(at) {
    const before = this.shown, now = (this.shown = this.view(at));
    this.boxes.forEach((box, n) => {
      if (before.boxes.get(n) !== now.boxes.get(n) || this.at < 0) paintBox(box, now.boxes.get(n));
    });
    this.arrows.forEach((arrow, n) => paintArrow(arrow, now.arrows.get(n)));
    for (const n of before.lit) this.boxes[n].classList.remove("lit");
    for (const n of now.lit) this.boxes[n].classList.add("lit");
    const was = this.at;
    for (const n of [was, at]) if (n > 0) this.rows[n - 1].toggleAttribute("aria-current", n === at);
    this.at = at;
    this.slider.value = at;
    const [from, to] = [Math.max(Math.min(was, at), 0), was < 0 ? this.last : Math.max(was, at)];
    for (let n = from; n < to; n++) this.rows[n].classList.toggle("later", n >= at);
    this.tell();
    this.showCpus();
    this.showLedger();
  }

  tell() {
    const step = this.told.steps[this.at - 1];
    const told = `step ${this.at} of ${this.last}`;
    this.root.querySelector(".told").textContent = told;
    this.slider.setAttribute("aria-valuetext", step ? `${told}: CPU${step.cpu} ${words(step)}` : told);
    const line = this.rows[Math.max(this.at - 1, 0)];
    const steps = this.root.querySelector(".steps");
    if (line) steps.scrollTop = line.offsetTop - steps.clientHeight / 2;
  }

  // The line of kernel code that each CPU is at: that of its next step, or of its last one.
  showCpus() {
    const lines = this.told.cpus.flatMap(([cpu, task]) => {
      const next = this.told.steps.findIndex((step, n) => n >= this.at && step.cpu === cpu);
      const step = this.told.steps[next] ?? this.told.steps.findLast((each) => each.cpu === cpu);
      const just = this.at > 0 && this.told.steps[this.at - 1].cpu === cpu;
      const place = `${next < 0 ? "after " : ""}${step.call.split(" > ").pop()}  ${step.source}`;
      const code = this.told.sources[step.source] || "";
      return [cell(`CPU${cpu} ${task}`, just ? "now" : ""), cell(place), cell(code, "code")];
    });
    this.root.querySelector(".cpus").replaceChildren(...lines);
  }

  showLedger() {
    const changes = this.told.counted[this.select.value] || [];
    const lines = changes.filter(([at]) => at <= this.at).map(([at, cpu, task, before, after, call, source]) => {
      const sign = after > before ? `+${after - before}` : `${after - before}`;
      return row("td", [at || "set-up", `${sign} → ${after}`, `CPU${cpu} ${task}`, `${call.split(" > ").pop()} ${source}`]);
    });
    this.root.querySelector(".ledger tbody").replaceChildren(...lines);
  }
}

function words(step) {
  const about = step.field ? `${step.object}.${step.field}` : step.object;
  const change = step.before !== step.after ? ` ${step.before} → ${step.after}` : "";
  return `${step.action}(${about})${change}`;
}

function cell(text, of = "") {
  const made = document.createElement("span");
  made.textContent = text;
  made.className = of;
  return made;
}

function row(kind, texts) {
  const line = document.createElement("tr");
  for (const text of texts) {
    const made = document.createElement(kind);
    made.textContent = text;
    line.append(made);
  }
  return line;
}

function paintBox(box, told) {
  box.classList.toggle("off", !told);
  if (!told) return;
  const [lines, freed, dangling] = told;
  box.classList.toggle("freed", freed);
  box.querySelectorAll("text").forEach((text, n) => {
    text.textContent = lines[n] || "";
    if (n > 0) text.setAttribute("class", dangling.includes(n - 1) ? "dangling" : "");
  });
}

function paintArrow(arrow, dangling) {
  arrow.classList.toggle("off", dangling === undefined || dangling === null);
  arrow.classList.toggle("dangling", dangling === true);
}

const players = films.map((told, number) => new Film(told, number));

function go(player, at) {
  player.show(Math.min(Math.max(at, 0), player.last));
  const places = players.map((each) => `${each.letter}=${each.at}`).join("&");
  history.replaceState(null, "", `#${places}`);
}

function fromLink() {
  const asked = new URLSearchParams(location.hash.slice(1));
  for (const player of players) {
    const at = Number.parseInt(asked.get(player.letter) ?? asked.get("step") ?? `${player.told.begin}`, 10);
    go(player, Number.isNaN(at) ? player.told.begin : at);
  }
}

const KEYS = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity };
document.addEventListener("keydown", (event) => {
  if (!(event.key in KEYS) || event.altKey || event.ctrlKey || event.metaKey) return;
  if (event.target.closest("select, .paper, .steps") && event.key.startsWith("Page")) return;
  event.preventDefault();
  const own = event.target.closest(".film");
  for (const player of players)
    if (!own || own === player.root || !event.shiftKey) go(player, player.at + KEYS[event.key]);
});
window.addEventListener("hashchange", fromLink);
document.getElementById("theme").addEventListener("click", () => {
  const dark = getComputedStyle(document.documentElement).colorScheme.includes("dark");
  document.documentElement.dataset.theme = dark ? "light" : "dark";
});
fromLink();
