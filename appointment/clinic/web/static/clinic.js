// The pages work without this file, but for what is live and for what-if. A page with
// data-live is fetched again on each of the server's events; the doctor's lanes are laid
// out, and their bars can be dragged.
"use strict";

const main = () => document.getElementById("main");
const step = 5; // minutes

// refresh fetches the page again and puts its content in place of what is shown, unless
// somebody is in the middle of something: a press, a what-if, a form that is not sent yet.
let stale = false, fetching = null, pressed = false;
const entered = (e) => e.type === "radio" || e.type === "checkbox" ? e.checked !== e.defaultChecked : e.value !== e.defaultValue;
const busy = () => pressed || document.querySelector(".half.dirty, .half.asking, .bar.dragging, details[open]") ||
  [...main().querySelectorAll("input, textarea")].some((e) => e === document.activeElement || entered(e));

function refresh() {
  if (busy() || fetching) { stale = true; return fetching; }
  return fetching = again().finally(() => { fetching = null; });
}

async function again() {
  try {
    do { // what happens while the page is fetched may be missing in it
      stale = false;
      await replace();
    } while (stale && !busy());
  } catch { stale = true; }
}

const later = () => setTimeout(() => { if (stale) refresh(); }, 200);

async function replace() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (busy()) { stale = true; return; }
  const focus = document.activeElement && document.activeElement.id;
  const said = spoken(fresh), before = spoken(document);
  main().replaceChildren(...fresh.getElementById("main").childNodes);
  const clock = document.querySelector(".clock"), now = fresh.querySelector(".clock");
  if (clock && now) clock.replaceWith(now);
  if (focus) document.getElementById(focus)?.focus({ preventScroll: true });
  if (said !== before) document.getElementById("said").textContent = said;
  layOut();
}

// spoken is what a screen reader is told when it changes.
const spoken = (doc) => [...doc.querySelectorAll("main .badge, main .position, main .count, main .offer h2")].map((e) => e.textContent.trim()).join(", ");

function live() {
  const address = main().dataset.live;
  if (!address) return;
  const events = new EventSource(address);
  events.addEventListener("step", refresh);
  events.addEventListener("error", () => { stale = true; });
  events.addEventListener("open", () => { if (stale) refresh(); });
  setInterval(() => { if (!document.hidden) refresh(); }, 15000);
  document.addEventListener("focusout", later);
  // A button that is replaced between the finger's going down and up is not pressed.
  document.addEventListener("pointerdown", () => { pressed = true; }, true);
  for (const end of ["pointerup", "pointercancel"]) document.addEventListener(end, () => setTimeout(() => { pressed = false; later(); }), true);
}

// A form that is sent twice by a nervous finger is sent once.
document.addEventListener("submit", (e) => {
  if (e.target.dataset.sent) { e.preventDefault(); return; }
  e.target.dataset.sent = "1";
});
addEventListener("pageshow", () => document.querySelectorAll("form[data-sent]").forEach((f) => delete f.dataset.sent));

// Lanes: all positions are in minutes of the half-day.
function layOut() {
  for (const half of document.querySelectorAll(".half")) {
    const span = Number(half.dataset.minutes);
    for (const e of half.querySelectorAll(".axis [data-at], .gone")) {
      e.style.left = 100 * Number(e.dataset.at) / span + "%";
      if (e.dataset.wide) e.style.width = 100 * Number(e.dataset.wide) / span + "%";
    }
    for (const bar of half.querySelectorAll(".bar")) {
      bar.dataset.was ??= bar.dataset.at;
      bar.dataset.waited ??= bar.dataset.wait;
      draw(bar, span);
      if (bar.hasAttribute("tabindex") && !bar.dataset.ready) { bar.dataset.ready = "1"; draggable(half, bar, span); }
    }
    const find = half.querySelector(".suggest");
    if (find && !find.dataset.ready) {
      find.dataset.ready = "1";
      find.addEventListener("click", () => ask(half, true));
      half.querySelector(".apply").addEventListener("click", () => apply(half));
      half.querySelector(".reset").addEventListener("click", () => reset(half));
      if (told.has(half.dataset.session)) half.querySelector(".told").textContent = told.get(half.dataset.session);
    }
  }
}

function draw(bar, span) {
  const at = Number(bar.dataset.at), wait = Math.max(0, Number(bar.dataset.wait)), mean = Number(bar.dataset.mean);
  bar.style.left = 100 * at / span + "%";
  bar.style.width = 100 * (wait + mean) / span + "%";
  bar.querySelector(".wait").style.flexBasis = 100 * wait / (wait + mean) + "%";
  bar.classList.toggle("moved", bar.dataset.at !== bar.dataset.was);
  bar.closest(".lane").classList.toggle("earlier", at < Number(bar.dataset.was));
  if (bar.getAttribute("role") === "slider") {
    bar.setAttribute("aria-valuenow", at);
    bar.setAttribute("aria-valuetext", clockOf(bar, at));
  }
}

// clockOf is the wall-clock time of a minute: the label of who is dragging.
function clockOf(bar, minute) {
  const [h, m] = bar.closest(".half").dataset.begin.split(":").map(Number), t = h * 60 + m + minute;
  return String(Math.floor(t / 60) % 24).padStart(2, "0") + ":" + String(t % 60).padStart(2, "0");
}

function place(half, bar, minute, span) {
  bar.dataset.at = Math.min(Math.max(0, Math.round(minute / step) * step), span - step);
  bar.dataset.label = clockOf(bar, Number(bar.dataset.at));
  draw(bar, span);
  mark(half);
  clearTimeout(half.asking);
  half.asking = setTimeout(() => ask(half, false), 120);
}

function draggable(half, bar, span) {
  let from = 0, start = 0;
  bar.addEventListener("pointerdown", (e) => {
    if (e.button) return;
    bar.setPointerCapture(e.pointerId);
    bar.classList.add("dragging");
    from = e.clientX; start = Number(bar.dataset.at);
  });
  bar.addEventListener("pointermove", (e) => {
    if (!bar.classList.contains("dragging")) return;
    place(half, bar, start + (e.clientX - from) / bar.parentElement.clientWidth * span, span);
  });
  for (const end of ["pointerup", "pointercancel"]) bar.addEventListener(end, () => bar.classList.remove("dragging"));
  bar.addEventListener("keydown", (e) => {
    const by = { ArrowLeft: -step, ArrowRight: step, PageDown: -6 * step, PageUp: 6 * step }[e.key];
    if (!by) return;
    e.preventDefault();
    place(half, bar, Number(bar.dataset.at) + by, span);
  });
}

const bars = (half) => [...half.querySelectorAll(".bar[role=slider]")];
const moved = (half) => Object.fromEntries(bars(half).filter((b) => b.dataset.at !== b.dataset.was).map((b) => [b.dataset.id, Number(b.dataset.at)]));

function mark(half) {
  const dirty = Object.keys(moved(half)).length > 0;
  half.classList.toggle("dirty", dirty);
  half.querySelector(".apply").hidden = half.querySelector(".reset").hidden = !dirty;
}

async function send(half, path, body) {
  const answer = await fetch(half.dataset.doctor + path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ session: half.dataset.session, ...body }) });
  const json = await answer.json();
  if (!answer.ok) throw new Error(json.error);
  return json;
}

const text = (name) => document.getElementById("texts").dataset[name];
const fill = (pattern, ...values) => pattern.replace(/%[sd]/g, () => values.shift());
// told is what was last said of each half-day, until somebody goes on; it outlives a refresh.
const told = new Map();
function tell(half, words) {
  told.set(half.dataset.session, words);
  half.querySelector(".told").textContent = document.getElementById("said").textContent = words;
}

// ask shows what the models expect of the bars as they lie, or of better places for them.
async function ask(half, suggest) {
  const turn = half.turn = (half.turn ?? 0) + 1;
  half.classList.add("asking"); // what the answer is drawn on must not be replaced before it comes
  try {
    const answer = await send(half, "/what-if", { starts: moved(half), suggest });
    if (turn !== half.turn) return; // a later question is on its way
    const span = Number(half.dataset.minutes);
    for (const bar of half.querySelectorAll(".bar")) {
      const guest = answer.guests[bar.dataset.id];
      if (!guest) continue;
      if (suggest && bar.getAttribute("role") === "slider") bar.dataset.at = guest.minute;
      bar.dataset.wait = guest.wait;
      draw(bar, span);
    }
    mark(half);
    tell(half, fill(text("cost"), answer.cost.toFixed(0), answer.before.toFixed(0)));
  } catch (e) { tell(half, e.message); } finally { if (turn === half.turn) answered(half); }
}

function answered(half) {
  half.classList.remove("asking");
  later();
}

async function apply(half) {
  try {
    const answer = await send(half, "/apply", { starts: moved(half) });
    const words = fill(text("applied"), answer.moved, answer.asked);
    reset(half);
    tell(half, words);
    await refresh();
    document.getElementById("said").textContent = words; // rather than what else is new on the page
  } catch (e) { tell(half, e.message); }
}

function reset(half) {
  half.turn = (half.turn ?? 0) + 1;
  answered(half);
  clearTimeout(half.asking);
  for (const bar of half.querySelectorAll(".bar")) {
    bar.dataset.at = bar.dataset.was;
    bar.dataset.wait = bar.dataset.waited;
    draw(bar, Number(half.dataset.minutes));
  }
  mark(half);
  told.delete(half.dataset.session);
  half.querySelector(".told").textContent = text("hint");
}

layOut();
live();
