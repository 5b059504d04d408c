"use strict";
const $ = id => document.getElementById(id);
const setText = (el, s) => { if (el.textContent !== s) el.textContent = s; };
const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
function bytes(n) {
  let i = 0;
  n = Math.max(0, n);
  while (n >= 1024 && i < units.length - 1) { n /= 1024; i++; }
  return (i && n < 10 ? n.toFixed(1) : Math.round(n)) + " " + units[i];
}
const rate = n => bytes(n) + "/s";
function span(s) {
  if (s < 90) return Math.ceil(s) + " s";
  if (s < 5400) return Math.round(s / 60) + " min";
  return s < 172800 ? Math.round(s / 3600) + " h" : Math.round(s / 86400) + " days";
}
const ago = t => span(Math.max(0, (Date.now() - new Date(t)) / 1000)) + " ago";
const count = (n, one, many) => n + " " + (n === 1 ? one : many || one + "s");

function make(tag, props, ...children) {
  const el = document.createElement(tag);
  for (const [k, v] of Object.entries(props || {})) {
    if (k === "class") el.className = v;
    else if (k.startsWith("on")) el.addEventListener(k.slice(2), v);
    else el.setAttribute(k, v);
  }
  el.append(...children);
  return el;
}

// Rows are kept and changed in place: whoever works with the keyboard must not
// lose the focus every second.
function rows(list, items, key, build, update) {
  const have = new Map([...list.children].map(el => [el.dataset.key, el]));
  let at = list.firstElementChild;
  for (const item of items) {
    const k = String(key(item));
    let el = have.get(k);
    if (!el) {
      el = build(item);
      el.dataset.key = k;
    }
    have.delete(k);
    if (el === at) at = at.nextElementSibling;
    else list.insertBefore(el, at);
    update(el, item);
  }
  for (const el of have.values()) el.remove();
}

let said = 0;
function say(s) { // only what somebody who does not see the page must know
  $("say").textContent = s + (said++ % 2 ? "\u00a0" : ""); // the same words again are news too
}

// Actions.
const token = {
  get: () => sessionStorage.getItem("scmfs-token") || "",
  set: t => sessionStorage.setItem("scmfs-token", t.trim()),
};
if (location.hash.startsWith("#token=")) {
  token.set(decodeURIComponent(location.hash.slice(7)));
  history.replaceState(null, "", location.pathname);
}
$("token").value = token.get();
$("token-form").addEventListener("submit", e => {
  e.preventDefault();
  token.set($("token").value);
  say("The token is used from now on.");
});

function ask(title, text, yes, danger, label, value) {
  const d = $("ask");
  setText($("ask-title"), title);
  setText($("ask-text"), text);
  setText($("ask-yes"), yes);
  $("ask-yes").className = danger ? "danger" : "main";
  $("ask-field").hidden = !label;
  setText($("ask-label"), label || "");
  $("ask-input").value = value || "";
  d.returnValue = "no";
  d.showModal();
  if (label) $("ask-input").select();
  return new Promise(done => d.addEventListener("close", () => done(d.returnValue === "yes" ? { value: $("ask-input").value } : null), { once: true }));
}
// Enter in the field means yes.
$("ask-input").addEventListener("keydown", e => { if (e.key === "Enter") { e.preventDefault(); $("ask").close("yes"); } });

async function haveToken() {
  if (token.get()) return true;
  const a = await ask("Token", "Actions need the token that 'scmfs status' shows.", "Use", false, "Token", "");
  if (a && a.value.trim()) { token.set(a.value); $("token").value = token.get(); return true; }
  return false;
}

async function post(path, form, body) {
  if (!await haveToken()) return false;
  const headers = { Authorization: "Bearer " + token.get() };
  if (body) headers["Content-Type"] = "application/octet-stream";
  try {
    const query = body ? "?" + new URLSearchParams(form) : "";
    const r = await fetch(path + query, { method: "POST", headers, body: body || new URLSearchParams(form) });
    if (r.ok) return true;
    if (r.status === 401) token.set("");
    await ask("That did not work", (await r.text()).trim(), "OK");
  } catch (e) {
    await ask("That did not work", "The mount does not answer: " + e.message, "OK");
  }
  return false;
}

function button(text, name, cls, run, shown) {
  const b = make("button", { type: "button", class: cls, "aria-label": text + " " + name }, shown || text);
  b.addEventListener("click", async () => {
    b.disabled = true;
    try { if (await run()) say(text + " " + name + ": done."); } finally { b.disabled = false; loadPartials(); }
  });
  return b;
}

async function exportFile(id) {
  if (!await haveToken()) return false;
  const f = $("export");
  f.elements.token.value = token.get();
  f.elements.id.value = id;
  f.submit();
  return false;
}

async function discard(id, name) {
  return await ask("Discard " + name + "?", "Its content is thrown away for good.", "Discard", true) && post("api/pending/discard", { id });
}

// What is pending.
const words = { open: "being written", sealed: "waiting", uploading: "uploading", committing: "being published", published: "published", stuck: "stuck" };

function pendingRow(p) {
  const s = latest, name = s.names[p.id];
  const actions = p.state === "stuck" || p.held ? make("p", { class: "line" },
    button(p.held ? "Publish" : "Retry", name, "main", () => post("api/pending/retry", { id: p.id })),
    button("Export", name, "", () => exportFile(p.id)),
    button("Discard", name, "danger", () => discard(p.id, name))) : "";
  return make("li", {}, make("div", { class: "top" }, make("span", { class: "name" }), make("span", { class: "num quiet" })),
    make("progress", { max: "1" }), make("p", { class: "why" }), actions);
}
function pendingUpdate(el, p) {
  const s = latest, name = s.names[p.id], r = s.bytes_per_second[p.id] || 0, left = p.size - p.acknowledged;
  setText(el.querySelector(".name"), name);
  const state = p.state === "sealed" && p.sent > p.acknowledged ? "uploading" : p.state;
  let t = (p.held ? "closed under a temporary name" : words[state] || state) + " · " + bytes(p.acknowledged) + " of " + bytes(p.size);
  if (p.sent > p.acknowledged) t += ", " + bytes(p.sent - p.acknowledged) + " on the way";
  if (r > 0) t += " · " + rate(r);
  if (r > 0 && left > 0 && p.state !== "open") t += " · " + span(left / r) + " left";
  setText(el.querySelector(".num"), t);
  const bar = el.querySelector("progress"), done = p.size ? Math.min(1, p.acknowledged / p.size) : 0;
  bar.value = done;
  bar.style.setProperty("--sent", p.size ? 100 * Math.min(1, p.sent / p.size) + "%" : "0%"); // not by an attribute, which the policy refuses
  bar.setAttribute("aria-label", name + ", acknowledged by the server");
  bar.setAttribute("aria-valuetext", Math.round(done * 100) + " percent");
  setText(el.querySelector(".why"), p.error || "");
}

$("retry-all").append(button("Retry", "everything that is stuck", "", async () => {
  for (const p of (latest.pending || []).filter(p => p.state === "stuck"))
    if (!await post("api/pending/retry", { id: p.id })) return false;
  return true;
}, "Retry all"));

// Charts.
const history_ = [];
function chart(svg, text, main, side) {
  const n = 300, w = 600, h = 160;
  const smooth = k => history_.map((_, i) => {
    const part = history_.slice(Math.max(0, i - 2), i + 1);
    return part.reduce((sum, p) => sum + p[k], 0) / part.length;
  });
  const a = smooth(main), b = smooth(side), peak = Math.max(...a, ...b, 1);
  let top = 256 * 1024; // below is what looking at this page costs
  while (top < peak) top *= 2;
  const x = i => (w - (a.length - 1 - i) * w / (n - 1)).toFixed(1), y = v => (h - 2 - v / top * (h - 8)).toFixed(1);
  const path = v => v.map((p, i) => (i ? "L" : "M") + x(i) + " " + y(p)).join("");
  const draw = (cls, d) => {
    let el = svg.querySelector("." + cls);
    if (!el) {
      el = document.createElementNS("http://www.w3.org/2000/svg", "path");
      el.setAttribute("class", cls);
      svg.append(el);
    }
    el.setAttribute("d", d);
  };
  draw("grid", [.25, .5, .75].map(f => "M0 " + y(top * f) + "H" + w).join("") + [60, 120, 180, 240].map(s => "M" + (w - s * w / (n - 1)).toFixed(1) + " 0V" + h).join(""));
  draw("fill", a.length > 1 ? path(a) + "V" + h + "H" + x(0) + "Z" : "");
  draw("b", path(b));
  draw("a", path(a));
  const last = v => v.length ? v[v.length - 1] : 0;
  setText(text, "now " + rate(last(a)) + " with the server, " + rate(last(b)) + " with programs; peak " + rate(peak > 1 ? peak : 0) + "; full height " + rate(top));
}
function addPoint(p) {
  const l = history_[history_.length - 1];
  if (p && (!l || p.at > l.at) && !p.at.startsWith("0001")) history_.push(p);
  if (history_.length > 300) history_.splice(0, history_.length - 300);
  chart($("c-up"), $("c-up-text"), "sent", "written");
  chart($("c-down"), $("c-down-text"), "received", "read");
}

// The status of every second.
let latest = null, before = { stuck: 0, down: false };
function tile(id, text, note, cls) {
  setText($(id), text);
  $(id).className = cls || "";
  setText($(id + "-note") || $("t-bytes"), note);
}
function show(s) {
  latest = s;
  setText($("mountpoint"), "on " + s.mountpoint);
  document.title = "scmfs on " + s.mountpoint;
  setText($("about"), s.session.user + " at " + s.seed + " · mounted " + ago(s.started));
  setText($("version"), s.version);
  setText($("token-mnt"), s.mountpoint);
  const all = s.pending || [], stuck = all.filter(p => p.state === "stuck"), queue = all.filter(p => p.state !== "stuck");
  const left = queue.reduce((n, p) => n + Math.max(0, p.size - p.acknowledged), 0);
  const speed = Object.values(s.bytes_per_second).reduce((a, b) => a + b, 0);
  tile("t-files", count(queue.length, "file"), bytes(left) + (speed ? ", " + rate(speed) : " to send"));
  tile("t-stuck", count(stuck.length, "file"), stuck.length ? "needs you, see below" : "nothing needs you", stuck.length ? "bad" : "");
  const down = !!s.server.error;
  tile("t-server", down ? "does not answer" : "answers", down ? s.server.error : "in " + (s.server.took / 1e6).toFixed(1) + " ms" +
    (s.server.clock_skew ? ", clock " + span(Math.abs(s.server.clock_skew) / 1e9) + (s.server.clock_skew > 0 ? " ahead" : " behind") : ""), down ? "bad" : "good");
  const low = s.spool.free >= 0 && s.spool.free < s.limits.spool_min_free;
  tile("t-spool", bytes(s.spool.spool), (s.limits.spool_max ? "of " + bytes(s.limits.spool_max) + ", " : "") + bytes(s.spool.free) + " free on disk", low ? "bad" : "");
  const reads = s.cache.hits + s.cache.misses;
  tile("t-cache", bytes(s.cache.memory), (reads ? Math.round(100 * s.cache.hits / reads) + "% hits" : "not used yet") + (s.limits.cache_max_size ? ", " + bytes(s.cache.disk) + " on disk" : ""));

  $("stuck-card").hidden = !stuck.length;
  $("retry-all").hidden = stuck.length < 2;
  rows($("stuck"), stuck, p => p.id, pendingRow, pendingUpdate);
  rows($("queue"), queue, p => p.id + (p.held ? " held" : ""), pendingRow, pendingUpdate);
  $("queue-none").hidden = queue.length > 0;

  const errors = s.recent_errors || [];
  rows($("errors"), errors.slice(0, 20), e => e.first + e.message + (e.file || ""), e => make("li", {},
    make("p", {}, make("span", { class: "level " + e.level }, e.level), e.file ? make("b", {}, e.file + ": ") : "", e.message),
    e.error ? make("p", { class: "quiet" }, e.error) : "", make("p", { class: "quiet when" })), (el, e) => setText(el.querySelector(".when"), new Date(e.time).toLocaleString() + ", " + ago(e.time) + (e.count > 1 ? ", " + e.count + " times" : "")));
  $("errors-none").hidden = errors.length > 0;
  const limit = n => n ? bytes(n) : "no limit";
  const facts = [
    ["Workspaces", (s.workspaces || []).map(w => w.name + (w.directories ? "" : " (flat)") + (w.no_breakpoints ? " (no breakpoint files)" : "")).join(", ") || s.unknown || "not known yet"],
    ...(s.root ? [["Shows", s.root]] : []),
    ["Session", s.session.user + ", " + count(s.session.logins, "login") + ", the last one " + ago(s.session.since)],
    ["Write mode", s.write_mode], ["State directory", s.state_dir],
    ["Log", (s.log_file || "standard error") + ", level " + s.log_level],
    ["Increments", bytes(s.limits.increment) + ", " + s.limits.uploads + " at once, " + (s.limits.upload_limit ? rate(s.limits.upload_limit) : "no speed limit")],
    ["Spool", limit(s.limits.spool_max) + ", " + bytes(s.limits.spool_min_free) + " of the disk stay free"],
    ["Read cache", bytes(s.limits.cache_size) + " of memory, " + (s.limits.cache_max_size ? bytes(s.limits.cache_max_size) + " of disk" : "no disk cache")],
    ["Version conflicts", String((s.conflicts || []).length)],
  ];
  rows($("facts"), facts.flat().map((text, i) => ({ text, i })), f => f.i, f => make(f.i % 2 ? "dd" : "dt"), (el, f) => setText(el, f.text));
  if (stuck.length > before.stuck) say(count(stuck.length, "file") + " stuck.");
  if (down !== before.down) say(down ? "The server does not answer." : "The server answers again.");
  before = { stuck: stuck.length, down };
  addPoint(s.point);
}

// Breakpoint files.
let source = null;
$("source").addEventListener("change", () => { const f = $("source").files[0]; if (f && source) source(f); });
$("source").addEventListener("cancel", () => { if (source) source(null); });
async function resume(ws, f) {
  if (f.draft && latest && (latest.pending || []).some(p => p.id === f.draft && p.handles === 0)) return post("api/pending/retry", { id: f.draft });
  if (!await haveToken()) return false;
  const file = await new Promise(done => { source = done; $("source").value = ""; $("source").click(); });
  if (!file) return false;
  say("Resuming " + f.name + ".");
  return post("api/partial/resume", { workspace: ws, name: f.name }, file);
}
async function convert(ws, f) {
  const a = await ask("Convert " + f.name, "It becomes a file, or the next version of one that is there.", "Convert", false, "Path below " + ws, f.name);
  return a && post("api/partial/convert", { workspace: ws, name: f.name, to: a.value });
}
async function remove(ws, f) {
  return await ask("Delete " + f.name + "?", bytes(f.size) + " of uploaded content are thrown away.", "Delete", true) && post("api/partial/delete", { workspace: ws, name: f.name });
}
function partialRow(ws) {
  return f => make("li", {}, make("div", { class: "top" }, make("span", { class: "name" }, f.name), make("span", { class: "num quiet" })),
    make("p", { class: "line" }, make("span", { class: "tag" }, f.completed ? "complete" : "unfinished"),
      f.completed ? button("Convert", f.name, "main", () => convert(ws, f)) : button("Resume", f.name, "main", () => resume(ws, f)),
      button("Delete", f.name, "danger", () => remove(ws, f))));
}
let loading = false;
async function loadPartials() {
  if (loading || document.hidden) return;
  loading = true;
  try {
    const r = await fetch("api/partials");
    if (!r.ok) return;
    const all = (await r.json()).filter(l => l.error || l.files.length);
    rows($("partials"), all, l => l.workspace, l => make("div", {}, make("h3", {}, l.workspace), make("p", { class: "why" }), make("ul", { class: "rows", "aria-label": "Breakpoint files of " + l.workspace })),
      (el, l) => {
        setText(el.querySelector(".why"), l.error || "");
        rows(el.querySelector("ul"), l.files, f => [f.name, f.completed, f.draft].join("\n"), partialRow(l.workspace),
          (li, f) => setText(li.querySelector(".num"), bytes(f.size) + " uploaded" + (f.user ? " by " + f.user : "") + ", " + ago(f.modified)));
      });
    $("partials-none").hidden = all.length > 0;
  } catch (e) { /* the pill says that nobody answers */ } finally { loading = false; }
}

function link(cls, text) { $("link").className = "pill " + cls; setText($("link"), text); }
const live = new EventSource("events");
live.addEventListener("history", e => { history_.length = 0; history_.push(...JSON.parse(e.data) || []); });
let lost = false;
live.addEventListener("status", e => { lost = false; link("good", "live"); show(JSON.parse(e.data)); });
live.addEventListener("error", () => { // again with every attempt to reconnect
  if (!lost) say("The mount does not answer.");
  lost = true;
  link("bad", "the mount does not answer");
});
document.addEventListener("visibilitychange", loadPartials);
loadPartials();
setInterval(loadPartials, 10000);
