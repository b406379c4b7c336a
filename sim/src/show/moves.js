// What stands around the lanes: the whole run above, the list below; and what keys, the wheel and the pointer do.

// ---- the whole run, as a strip to move in ----

const wholeX = (t) => t / record.end * whole.clientWidth;
let busy = null; // How many messages there are in each part of the run.
function drawWhole() {
  const g = sized(whole, 34), width = whole.clientWidth, height = 34;
  if (!busy || busy.length !== width) {
    busy = new Array(width).fill(0);
    for (let i = 0; i < messages.length; i += SIZE) busy[Math.min(width - 1, Math.floor(wholeX(messages[i])))]++;
  }
  const most = Math.max(1, ...busy);
  g.fillStyle = colours.life;
  busy.forEach((n, px) => g.fillRect(px, height - 2 - Math.sqrt(n / most) * 24, 1, Math.sqrt(n / most) * 24));
  g.fillStyle = colours.fault;
  for (const [from, to] of record.bands) g.fillRect(wholeX(from), 0, Math.max(1, wholeX(to) - wholeX(from)), 5);
  g.fillStyle = colours.bad;
  for (const [t, , state] of record.states) if (state === "down" && 0 < t) g.fillRect(wholeX(t), 0, 2, 9);
  if (record.violation) g.fillRect(wholeX(record.violation.t) - 1, 0, 3, height);
  g.fillStyle = colours.focus;
  g.globalAlpha = 0.18;
  g.fillRect(wholeX(view.from), 0, Math.max(2, wholeX(view.to) - wholeX(view.from)), height);
  g.globalAlpha = 1;
  g.strokeStyle = colours.focus;
  g.strokeRect(wholeX(view.from) + 0.5, 0.5, Math.max(2, wholeX(view.to) - wholeX(view.from)) - 1, height - 1);
}

// ---- the list below, and what is said of what is chosen ----

const LISTED = 400;
const MENDS = /^(start|resume|mend|unmute|release|spare|heal|install) ?/; // What the world does that is no fault.
function list() {
  const entries = record.entries, begin = first(entries.length, (i) => entries[i][0], view.from);
  const body = at("list");
  body.replaceChildren();
  let left = 0;
  for (let i = begin; i < entries.length && entries[i][0] <= view.to; i++) {
    const [t, kind, host, sessions, text] = entries[i];
    const isOther = 0 <= view.session && sessions.length && !sessions.includes(view.session);
    if (isOther) continue;
    if (LISTED <= body.children.length) {
      left++;
      continue;
    }
    const row = body.insertRow();
    row.className = (MENDS.test(text) ? "" : kind) + (view.chosen?.entry === i ? " chosen" : "");
    for (const cell of [seconds(t), host < 0 ? "" : "n" + host, kind, text]) row.insertCell().textContent = cell;
    row.onclick = () => choose({ entry: i, t, text });
  }
  if (left) {
    const cell = body.insertRow().insertCell();
    cell.colSpan = 4;
    cell.textContent = `\u2026 ${left} more: zoom in`;
  }
}

function say(thing) {
  if (!thing) return "";
  if (thing.message === undefined) return `${seconds(thing.t)} s  ${thing.text}`;
  const [t, took, from, to, way, set, bytes, fate] = messages.slice(thing.message, thing.message + SIZE);
  const kinds = record.sets[set][0].map((kind) => record.kinds[kind]).join(", ");
  const sessions = record.sets[set][1].map((session) => record.sessions[session]);
  const about = sessions.length ? ` of ${sessions.slice(0, 6).join(" ")}${6 < sessions.length ? " \u2026" : ""}` : "";
  const end = fate === 3 ? "lost: no room" : fate === 2 ? "lost" : `arrived after ${seconds(took)} s${fate === 1 ? ", late" : ""}`;
  return `${seconds(t)} s  n${from} to n${to}: ${kinds}${about}, ${bytes} bytes, ${["datagram", "to the group", "stream"][way]}, ${end}`;
}

function choose(thing) {
  view.chosen = thing;
  at("now").textContent = say(thing);
  if (thing && (thing.t < view.from || view.to < thing.t)) centre(thing.t);
  update();
}

// ---- moving ----

function show(from, to) {
  const end = record.end * 1.01, span = Math.min(Math.max(to - from, 20), end); // What happens last has some room.
  view.from = Math.max(0, Math.min(from, end - span));
  view.to = view.from + span;
  update();
}
const centre = (t) => show(t - (view.to - view.from) / 2, t + (view.to - view.from) / 2);
const zoom = (factor, t = view.chosen?.t ?? (view.from + view.to) / 2) => show(t - (t - view.from) * factor, t + (view.to - t) * factor);
const move = (part) => show(view.from + (view.to - view.from) * part, view.to + (view.to - view.from) * part);

function step(direction) {
  const entries = record.entries.map((entry, i) => [entry, i]).filter(([entry]) =>
    view.session < 0 || !entry[3].length || entry[3].includes(view.session));
  const from = view.chosen?.entry ?? -1;
  const t = view.chosen?.t ?? view.from;
  const after = entries.filter(([entry, i]) => 0 <= from ? (0 < direction ? from < i : i < from) : (0 < direction ? t <= entry[0] : entry[0] < t));
  const found = 0 < direction ? after[0] : after.at(-1);
  if (found) choose({ entry: found[1], t: found[0][0], text: found[0][4] });
}

const DO = {
  in: () => zoom(0.5),
  out: () => zoom(2),
  traffic: () => show(0, Math.max(record.healed, record.violation?.t ?? 0) * 1.02),
  all: () => show(0, record.end * 1.01),
  help: () => at("help").showModal(),
  violation: () => record.violation && choose({ t: record.violation.t, text: record.violation.promise }),
};
const KEYS = {
  "+": DO.in, "=": DO.in, "-": DO.out, 0: DO.traffic, 9: DO.all, "?": DO.help, v: DO.violation,
  ArrowLeft: () => move(-0.2), ArrowRight: () => move(0.2), n: () => step(1), p: () => step(-1), Escape: () => choose(null),
  s: () => setSession(view.session + 1 < record.sessions.length ? view.session + 1 : -1),
};

function setSession(session) {
  view.session = session;
  at("session").value = String(session);
  update();
}

let asked = 0, listing = 0;
function update() {
  cancelAnimationFrame(asked);
  asked = requestAnimationFrame(draw);
  clearTimeout(listing);
  listing = setTimeout(list, 60);
  history.replaceState(null, "", "#" + [view.from, view.to].map(Math.round).join("-") + (view.session < 0 ? "" : "," + record.sessions[view.session]));
}

// ---- pointing ----

function under(px, py) {
  for (let i = hits.length - 1; 0 <= i; i--) {
    const [x1, y1, x2, y2, thing] = hits[i];
    if (thing.message === undefined) {
      if (x1 - 2 <= px && px <= x2 + 2 && y1 <= py && py <= y2) return thing;
      continue;
    }
    const length = (x2 - x1) ** 2 + (y2 - y1) ** 2 || 1;
    const part = Math.max(0, Math.min(1, ((px - x1) * (x2 - x1) + (py - y1) * (y2 - y1)) / length));
    if (Math.hypot(px - x1 - part * (x2 - x1), py - y1 - part * (y2 - y1)) < 4) return thing;
  }
  return null;
}

let drag = null;
lanes.addEventListener("pointerdown", (event) => {
  drag = { px: event.offsetX, from: view.from, to: view.to, moved: false };
  lanes.setPointerCapture(event.pointerId);
});
lanes.addEventListener("pointermove", (event) => {
  if (drag) {
    const shift = (event.offsetX - drag.px) / (lanes.clientWidth - LEFT - 8) * (drag.to - drag.from);
    drag.moved ||= 3 < Math.abs(event.offsetX - drag.px);
    if (drag.moved) show(drag.from - shift, drag.to - shift);
    return;
  }
  const thing = under(event.offsetX, event.offsetY);
  tip.hidden = !thing;
  if (thing) {
    tip.textContent = say(thing);
    tip.style.left = Math.min(event.offsetX + 14, lanes.clientWidth - 380) + "px";
    tip.style.top = lanes.offsetTop + event.offsetY + 18 + "px";
  }
});
lanes.addEventListener("pointerup", (event) => {
  if (drag && !drag.moved) choose(under(event.offsetX, event.offsetY));
  drag = null;
});
lanes.addEventListener("pointerleave", () => { tip.hidden = true; });
lanes.addEventListener("wheel", (event) => {
  event.preventDefault();
  if (event.shiftKey || Math.abs(event.deltaY) < Math.abs(event.deltaX)) move((event.deltaX || event.deltaY) / 1000);
  else zoom(1.0018 ** event.deltaY, time(event.offsetX));
}, { passive: false });

let strip = false;
const follow = (event) => centre(event.offsetX / whole.clientWidth * record.end);
whole.addEventListener("pointerdown", (event) => { strip = true; whole.setPointerCapture(event.pointerId); follow(event); });
whole.addEventListener("pointermove", (event) => strip && follow(event));
whole.addEventListener("pointerup", () => { strip = false; });

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "SELECT" || at("help").open) return;
  const act = KEYS[event.key];
  if (act) {
    event.preventDefault();
    act();
  }
});
for (const button of document.querySelectorAll("[data-do]")) button.onclick = DO[button.dataset.do];

// ---- the beginning ----

function chip(id, name) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = name;
  button.style.setProperty("--colour", `var(--${id})`);
  const set = () => button.setAttribute("aria-pressed", String(view.groups.has(id)));
  button.onclick = () => {
    if (!view.groups.delete(id)) view.groups.add(id);
    set();
    update();
  };
  set();
  at("groups").append(button);
}

function legend() {
  const add = (colour, mark, words) => {
    const item = document.createElement("span");
    item.style.setProperty("--colour", `var(--${colour})`);
    const sign = document.createElement(mark ? "b" : "i");
    sign.textContent = mark;
    item.append(sign, words);
    at("legend").append(item);
  };
  for (const state of STATES) add(state, "", STATE_WORDS[state]);
  add("bad", "\u2715", "is down from here on");
  add("ink", "n1 n2?", "lists n1 and n2, and suspects n2");
  add("owner", "", "owns the session");
  add("copy", "", "holds a copy");
  for (const step of ["durable", "not_durable", "late", "unknown", "refused"]) add(OUTCOMES[step][0], OUTCOMES[step][1], OUTCOMES[step][2]);
  add("ack", "\u2713", "acknowledged here");
  add("bad", "\u2573", "message lost");
}

function mostWritten() {
  const writes = new Map();
  for (const [, subject] of record.commits) writes.set(subject, (writes.get(subject) || 0) + 1);
  return record.sessions.reduce((most, name) => (writes.get(most) || 0) < (writes.get(name) || 0) ? name : most, "");
}

function begin() {
  at("title").textContent = record.title;
  const about = at("about"), replay = document.createElement("code");
  replay.textContent = record.replay;
  about.append(`${record.hosts} hosts, ${record.entries.length} changes, ${count} messages, ${seconds(record.end, 1)} s of virtual time. `, replay);
  if (record.violation) {
    at("violation").hidden = false;
    at("violation").firstElementChild.textContent = `${record.violation.promise} at ${seconds(record.violation.t)} s`;
    at("violation").firstElementChild.onclick = DO.violation;
    at("violation").lastElementChild.textContent = record.violation.story;
  }
  at("session").append(new Option("all", "-1"), ...record.sessions.map((name, i) => {
    const called = record.called[1][Number(name.slice(1)) - 1];
    return new Option(called ? `${name} ${called}` : name, String(i));
  }));
  at("session").onchange = (event) => setSession(Number(event.target.value));
  at("fate").onchange = (event) => { view.fate = event.target.value; update(); };
  for (const [id, name] of GROUPS) chip(id, name);
  legend();
  readColours();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readColours(); update(); });
  addEventListener("resize", update);
  const place = /^#(\d+)-(\d+)(?:,(\w+))?$/.exec(location.hash);
  setSession(record.sessions.indexOf(place ? place[3] : record.violation?.session ?? mostWritten()));
  if (place) show(Number(place[1]), Number(place[2])); else DO.traffic();
}
begin();
