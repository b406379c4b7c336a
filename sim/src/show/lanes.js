"use strict";
// The record of a run as lanes. Times are microseconds since it began. Everything is drawn from `record`, which the
// program has put into the page; nothing is fetched.

const record = JSON.parse(document.getElementById("record").textContent);
const at = (id) => document.getElementById(id);
const lanes = at("lanes"), whole = at("whole"), tip = at("tip");

// What is shown, and what is chosen.
const view = { from: 0, to: 1, session: -1, groups: new Set(["data", "other"]), fate: "", chosen: null, hovered: null };

const GROUPS = [
  ["data", "Sessions", "delta missing use ask answer offer offered pull fetch found release"],
  ["join", "Joins and checks", "hello round done entry map views leaving digest sums listing"],
  ["ack", "Acks", "ack"],
  ["life", "Signs of life", "beat probe alive ping pong relay relayed declared bye"],
  ["other", "Of the application", "message"],
];
const OUTCOMES = {
  durable: ["durable", "\u25cf", "durable"],
  not_durable: ["undecided", "\u25b2", "not durable"],
  late: ["undecided", "\u25c6", "late"],
  unknown: ["unknown", "\u25c7", "its member died first"],
  refused: ["bad", "\u2715", "refused"],
  taken: ["unknown", "\u25cb", "no answer yet"],
  waits: ["unknown", "\u25cb", "no answer yet"],
};
const STATES = ["joining", "ready", "paused", "leaving", "asleep"];
const STATE_WORDS = { joining: "joins", ready: "serves", paused: "takes no writes", leaving: "leaves", asleep: "does not run", down: "is down" };
const LEFT = 60, AXIS = 26, BAND = 17, LANE = 96, BAR = 20, STRIP = 13;

// ---- the record, made easy to draw ----

const groupOf = new Map(GROUPS.flatMap(([id, , kinds]) => kinds.split(" ").map((kind) => [kind, id])));
for (const set of record.sets) set.groups = new Set(set[0].map((kind) => groupOf.get(record.kinds[kind]) || "other"));
const SIZE = 8; // t, took (-1: never), from, to, way, set, bytes, fate (2: lost, 3: no room)
const messages = record.messages;
const count = messages.length / SIZE;
for (let i = SIZE, t = messages[0]; i < messages.length; i += SIZE) messages[i] = t += messages[i];
let slowest = 0;
for (let i = 0; i < messages.length; i += SIZE) slowest = Math.max(slowest, messages[i + 1]);

// The changes of each member as stretches: [from, to, change].
function stretches(changes, hostAt, timeAt) {
  const all = Array.from({ length: record.hosts }, () => []);
  for (const change of changes) {
    const own = all[change[hostAt]];
    if (own.length) own.at(-1)[1] = change[timeAt];
    own.push([change[timeAt], record.end, change]);
  }
  return all.map((own) => own.filter(([from, to]) => from < to));
}
const states = stretches(record.states, 1, 0);
const views = stretches(record.views, 1, 0);
const copies = record.sessions.map((_, session) => stretches(record.copies.filter((copy) => copy[2] === session), 1, 0));

// The first index in a sorted list whose time is not before t.
function first(length, timeOf, t) {
  let low = 0, high = length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (timeOf(middle) < t) low = middle + 1; else high = middle;
  }
  return low;
}

// ---- drawing ----

const colours = {};
function readColours() {
  const probe = document.createElement("i");
  document.body.append(probe);
  for (const name of ["card", "ink", "soft", "line", ...STATES, "on-state", "owner", "copy", "ended", "durable", "undecided", "unknown",
    "bad", "data", "join", "life", "ack", "other", "fault", "on-fault", "focus", "back"]) {
    probe.style.color = `var(--${name})`;
    colours[name] = getComputedStyle(probe).color;
  }
  probe.remove();
}

const bandRows = rows(record.bands);
function rows(bands) { // Puts bands that overlap into rows of their own.
  const ends = [];
  for (const band of bands) {
    let row = ends.findIndex((end) => end <= band[0]);
    if (row < 0) row = ends.length;
    ends[row] = band[1];
    band.row = row;
  }
  return ends.length;
}

const laneTop = () => AXIS + bandRows * BAND + 10;
const laneY = (host) => laneTop() + host * LANE + 22;
const x = (t) => LEFT + (t - view.from) / (view.to - view.from) * (lanes.clientWidth - LEFT - 8);
const time = (px) => view.from + (px - LEFT) / (lanes.clientWidth - LEFT - 8) * (view.to - view.from);
const seconds = (t, digits = 6) => (t / 1e6).toFixed(digits);

let hits = []; // What is drawn and can be pointed at: [x1, y1, x2, y2, thing].

function sized(canvas, height) {
  const scale = window.devicePixelRatio || 1, width = canvas.clientWidth;
  if (canvas.width !== width * scale || canvas.height !== height * scale) {
    canvas.width = width * scale;
    canvas.height = height * scale;
    canvas.style.height = height + "px";
  }
  const g = canvas.getContext("2d");
  g.setTransform(scale, 0, 0, scale, 0, 0);
  g.clearRect(0, 0, width, height);
  g.font = "12px system-ui, 'Liberation Sans', sans-serif";
  g.textBaseline = "middle";
  return g;
}

function draw() {
  const height = laneTop() + record.hosts * LANE + 8, width = lanes.clientWidth;
  const g = sized(lanes, height);
  hits = [];
  drawAxis(g, height, width);
  drawBands(g, height, width);
  g.save();
  g.beginPath();
  g.rect(LEFT, 0, width - LEFT, height);
  g.clip();
  drawMessages(g);
  for (let host = 0; host < record.hosts; host++) drawLane(g, host);
  drawCommits(g);
  drawPin(g, height);
  g.restore();
  g.fillStyle = colours.ink;
  g.font = "600 13px system-ui, 'Liberation Sans', sans-serif";
  for (let host = 0; host < record.hosts; host++) g.fillText("n" + host, 14, laneY(host) + BAR / 2);
  g.fillStyle = colours.soft;
  g.font = "12px system-ui, 'Liberation Sans', sans-serif";
  record.called[0].forEach((name, host) => clipped(g, name, 14, laneY(host) + BAR + 9, LEFT - 14));
  drawWhole();
}

function drawAxis(g, height, width) {
  const span = view.to - view.from, wanted = span / (width / 110);
  const unit = 10 ** Math.floor(Math.log10(wanted));
  const step = [1, 2, 5, 10].map((n) => n * unit).find((n) => wanted <= n);
  const digits = Math.max(0, Math.min(6, 6 - Math.floor(Math.log10(step) + 1e-9)));
  g.strokeStyle = colours.line;
  g.fillStyle = colours.soft;
  for (let t = Math.ceil(view.from / step) * step; t <= view.to; t += step) {
    g.beginPath();
    g.moveTo(x(t), AXIS - 5);
    g.lineTo(x(t), height);
    g.stroke();
    g.fillText(seconds(t, digits) + " s", x(t) + 4, AXIS / 2);
  }
}

function drawBands(g, height, width) {
  for (const band of record.bands) {
    const [from, to, text, hosts] = band;
    if (to < view.from || view.to < from) continue;
    const x1 = Math.max(LEFT, x(from)), x2 = Math.min(width, Math.max(x(to), x(from) + 3)), y = AXIS + band.row * BAND;
    g.fillStyle = colours.fault;
    g.fillRect(x1, y, x2 - x1, BAND - 2);
    g.globalAlpha = 0.28;
    for (const host of hosts) g.fillRect(x1, laneY(host) - 16, x2 - x1, LANE - 14);
    g.globalAlpha = 1;
    g.fillStyle = colours["on-fault"];
    clipped(g, text, x1 + 5, y + BAND / 2 - 1, x2 - x1 - 8);
    hits.push([x1, y, x2, y + BAND - 2, { text, t: from }]);
  }
}

// As much of a text as there is room for; to measure each would be slow where there are thousands.
function clipped(g, text, px, py, room) {
  const fits = Math.floor(room / 6.4);
  if (text.length <= fits) g.fillText(text, px, py);
  else if (3 <= fits) g.fillText(text.slice(0, fits - 1) + "\u2026", px, py);
}

function drawLane(g, host) {
  const y = laneY(host);
  g.fillStyle = colours.line;
  g.fillRect(LEFT, y + BAR / 2, lanes.clientWidth - LEFT, 1);
  for (const [from, to, change] of visible(states[host])) {
    const state = change[2], x1 = Math.max(LEFT, x(from)), x2 = x(to);
    if (state !== "down") {
      g.fillStyle = colours[state];
      g.fillRect(x1, y, Math.max(1, x2 - x1), BAR);
      if (state === "asleep") hatch(g, x1, y, x2 - x1, BAR);
    } else if (LEFT < x(from)) {
      g.strokeStyle = colours.bad;
      g.lineWidth = 2;
      g.beginPath();
      cross(g, x(from), y + BAR / 2, 6);
      g.stroke();
      g.lineWidth = 1;
    }
    hits.push([x1, y, x2, y + BAR, { text: `n${host} ${STATE_WORDS[state]} from ${seconds(from)} s to ${seconds(to)} s`, t: from }]);
  }
  for (const [from, to, change] of visible(views[host])) {
    const until = Math.min(to, stateEnd(host, from)), listed = change[2], suspected = change[3];
    if (stateAt(host, from) === "down" || until < view.from) continue;
    const x1 = Math.max(LEFT, x(from)), x2 = x(until);
    const names = listed.map((name) => suspected.includes(name) ? name + "?" : name).join(" ");
    if (LEFT < x(from)) {
      g.fillStyle = colours.card;
      g.fillRect(x(from), y, 1.5, BAR);
    }
    g.fillStyle = colours["on-state"];
    clipped(g, names || "alone", x1 + 5, y + BAR / 2, x2 - x1 - 8);
    const text = `n${host} lists ${listed.join(" ") || "nobody else"}` + (suspected.length ? `, and suspects ${suspected.join(" ")}` : "");
    hits.push([x1, y, x2, y + BAR, { text, t: from }]);
  }
  if (0 <= view.session) drawCopies(g, host, y + BAR + 3);
}

function drawCopies(g, host, y) {
  for (const [from, to, change] of visible(copies[view.session][host])) {
    const [, , , owner, writes, ended, isOwner, held] = change;
    const until = Math.min(to, stateEnd(host, from));
    if (!held || stateAt(host, from) === "down" || until < view.from) continue;
    const x1 = Math.max(LEFT, x(from)), x2 = x(until);
    g.fillStyle = ended ? colours.ended : isOwner ? colours.owner : colours.copy;
    g.fillRect(x1, y, Math.max(1.5, x2 - x1 - 0.7), STRIP);
    g.fillStyle = isOwner && !ended ? colours.back : colours.ink;
    g.font = "10.5px system-ui, 'Liberation Sans', sans-serif";
    clipped(g, ended ? "ended" : writes, x1 + 4, y + STRIP / 2 + 0.5, x2 - x1 - 6);
    g.font = "12px system-ui, 'Liberation Sans', sans-serif";
    const what = ended ? `has ended (${ended})` : `with ${writes}, owned by ${owner}`;
    hits.push([x1, y, x2, y + STRIP, { text: `n${host} holds ${record.sessions[view.session]} ${what}`, t: from }]);
  }
}

const visible = (list) => list.filter(([from, to]) => view.from <= to && from <= view.to);
const stretchAt = (host, t) => states[host].find(([from, to]) => from <= t && t < to);
const stateAt = (host, t) => stretchAt(host, t)?.[2][2] ?? "down";
function stateEnd(host, t) { // When the life that runs at this time is over.
  const down = states[host].find(([from, , change]) => t < from && change[2] === "down");
  return down ? down[0] : record.end;
}

function hatch(g, px, py, width, height) {
  g.save();
  g.beginPath();
  g.rect(px, py, width, height);
  g.clip();
  g.strokeStyle = colours.card;
  g.globalAlpha = 0.5;
  g.beginPath();
  for (let s = px - height; s < Math.min(px + width, lanes.clientWidth); s += 7) {
    g.moveTo(s, py + height);
    g.lineTo(s + height, py);
  }
  g.stroke();
  g.restore();
}

function cross(path, px, py, size) {
  path.moveTo(px - size, py - size);
  path.lineTo(px + size, py + size);
  path.moveTo(px - size, py + size);
  path.lineTo(px + size, py - size);
}

// Which group a message is shown in; nothing if it is not shown.
function shownAs(i) {
  const set = record.sets[messages[i + 5]], fate = messages[i + 7];
  if (view.fate && String(fate) !== view.fate) return null;
  // Where a session is chosen, what tells of sessions must tell of this one.
  const isOther = 0 <= view.session && !set[1].includes(view.session);
  for (const [id] of GROUPS) if (view.groups.has(id) && set.groups.has(id) && !(isOther && id === "data")) return id;
  return null;
}

function drawMessages(g) {
  const begin = first(count, (i) => messages[i * SIZE], view.from - slowest);
  const drawn = new Set(), paths = new Map(); // What is drawn alike is drawn at once.
  for (let i = begin * SIZE; i < messages.length && messages[i] <= view.to; i += SIZE) {
    const group = shownAs(i);
    if (!group) continue;
    const took = messages[i + 1], [from, to] = [messages[i + 2], messages[i + 3]], isLost = took < 0;
    const x1 = x(messages[i]);
    let x2 = isLost ? x1 + 8 : x(messages[i] + took);
    // Many that fall on one line are drawn once.
    const key = ((Math.round(x1) * 64 + from) * 64 + to) * 16384 + Math.round(x2 - x1);
    if (drawn.has(key)) continue;
    drawn.add(key);
    const down = from < to;
    const y1 = laneY(from) + (down ? BAR + STRIP + 5 : -4), yEnd = laneY(to) + (down ? -4 : BAR + STRIP + 5);
    let y2 = isLost ? y1 + Math.sign(yEnd - y1) * Math.min(22, Math.abs(yEnd - y1)) : yEnd;
    const style = group + messages[i + 7];
    if (!paths.has(style)) paths.set(style, [new Path2D(), new Path2D(), group, messages[i + 7]]);
    const [line, end] = paths.get(style);
    line.moveTo(x1, y1);
    line.lineTo(x2, y2);
    if (isLost) cross(end, x2, y2, 3); else head(end, x2, y2, x2 - x1, y2 - y1);
    if (hits.length < 30000) hits.push([x1, y1, x2, y2, { message: i, t: messages[i] }]);
  }
  for (const [line, end, group, fate] of paths.values()) {
    g.strokeStyle = 2 <= fate ? colours.bad : colours[group];
    g.globalAlpha = group === "life" || group === "ack" ? 0.45 : 0.85;
    g.setLineDash(fate === 1 ? [4, 3] : []);
    g.stroke(line);
    g.setLineDash([]);
    g.stroke(end);
  }
  g.globalAlpha = 1;
}

function head(path, px, py, dx, dy) {
  const length = Math.hypot(dx, dy) || 1, ux = dx / length, uy = dy / length;
  path.moveTo(px - 5 * ux - 2.5 * uy, py - 5 * uy + 2.5 * ux);
  path.lineTo(px, py);
  path.lineTo(px - 5 * ux + 2.5 * uy, py - 5 * uy - 2.5 * ux);
}

function drawCommits(g) {
  const drawn = new Set(), crowd = marks();
  g.font = "13px system-ui, 'DejaVu Sans', sans-serif";
  g.textAlign = "center";
  for (const commit of shownCommits()) {
    const [write, subject, host, asked, steps] = commit;
    const [end, step, have] = steps.at(-1);
    if (view.to < asked || end < view.from) continue;
    const [colour, mark, words] = OUTCOMES[step], y = laneY(host) - 9;
    g.strokeStyle = g.fillStyle = colours[colour];
    g.beginPath();
    g.moveTo(x(asked), y);
    g.lineTo(x(end), y);
    g.stroke();
    const spot = host + mark + Math.round(x(end) / 3);
    if (!drawn.has(spot)) g.fillText(mark, x(end), y);
    drawn.add(spot);
    if (0 <= view.session && crowd.get(host)(x(end))) {
      g.textAlign = "left";
      g.fillText("#" + write, x(end) + 8, y);
      g.textAlign = "center";
    }
    if (0 <= view.session) {
      for (const other of have) { // A tick where each copy was acknowledged.
        const there = Number(other.slice(1).split(".")[0]);
        g.fillText("\u2713", x(end), laneY(there) + BAR + STRIP + 12);
      }
    }
    const who = have.length ? `; also on ${have.join(" ")}` : "";
    const text = `n${host}: #${write} to ${subject}, asked at ${seconds(asked)} s, ${words} after ${seconds(end - asked)} s${who}`;
    hits.push([x(asked) - 6, y - 7, x(end) + 6, y + 7, { text, t: asked }]);
  }
  g.textAlign = "left";
}

// Whether a write that ends here in a lane has room for its number before the next mark.
function marks() {
  const ends = Array.from({ length: record.hosts }, () => []);
  for (const [, , host, , steps] of shownCommits()) ends[host].push(x(steps.at(-1)[0]));
  ends.forEach((own) => own.sort((one, other) => one - other));
  return new Map(ends.map((own, host) => [host, (px) => {
    const next = own[first(own.length, (i) => own[i], px + 0.01)];
    return next === undefined || px + 48 < next;
  }]));
}

const shownCommits = () => record.commits.filter((commit) => view.session < 0 || commit[1] === record.sessions[view.session]);

function drawPin(g, height) {
  const pin = (t, colour, dash) => {
    g.strokeStyle = colour;
    g.setLineDash(dash);
    g.beginPath();
    g.moveTo(x(t), 0);
    g.lineTo(x(t), height);
    g.stroke();
    g.setLineDash([]);
  };
  if (view.chosen) pin(view.chosen.t, colours.focus, [3, 3]);
  if (record.violation) {
    g.lineWidth = 2;
    pin(record.violation.t, colours.bad, []);
    g.lineWidth = 1;
    g.fillStyle = colours.bad;
    const text = record.violation.promise, room = g.measureText(text).width + 12, px = x(record.violation.t);
    const left = px + room < lanes.clientWidth ? px : px - room;
    g.fillRect(left, 0, room, 18);
    g.fillStyle = colours.card;
    g.fillText(text, left + 6, 9.5);
  }
}
