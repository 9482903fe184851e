"use strict";
// The page of experiments.read. Token 0 is the start of the text; step s reads token s,
// and the loss of token t is that of step t - 1. Texts go in as text, never as HTML.
const data = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);
const box = at("tokens");
const tokens = [...box.querySelectorAll(".token")];
const layers = Object.keys(data.units);
const unknown = new Set(data.unknown);
const STEPS = 2000, FULL = 32767, DECADES = 3;
const DASHES = ["", "6 3", "2 3", "8 3 2 3"];
const now = { view: "surprisal", chosen: 0, layer: 0, unit: 0, focus: 1 };

// ---- numbers

function bytes(text) {
  return Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0)).buffer;
}

function logarithms(packed) {
  const codes = new Uint16Array(bytes(packed.codes));
  return (i) => (codes[i] ? packed.largest * 10 ** (-(codes[i] - 1) / STEPS) : 0);
}

const inputs = logarithms(data.inputs);
const states = Object.values(data.states).map(logarithms);
const codes = layers.map((name) => new Int16Array(bytes(data.units[name].codes)));

// Norms of the gradient of the loss of token t at steps 0 ... t - 1.
function row(norms, t) {
  const first = (t * (t - 1)) / 2;
  return Array.from({ length: t }, (_, s) => norms(first + s));
}

const steps = tokens.length;
const largest = (layer, unit) => data.units[layers[layer]].largest[unit];
const width = (layer) => data.units[layers[layer]].largest.length;

function activation(layer, unit, s) {
  return (codes[layer][unit * steps + s] / FULL) * largest(layer, unit);
}

const short = (x) => String(Number(x.toPrecision(3))).replace("-", "−");
const percent = (p) => (p >= 0.0005 ? `${short(100 * p)} %` : p > 0 ? "< 0.05 %" : "0 %");
const quoted = (t) => (t ? `“${data.names[t]}”` : "the start of the text");
const back = (t, s) => `${t - s} ${t - s === 1 ? "token" : "tokens"} before`;

// The last lag that keeps over 1 % of the norm at the step of the guess.
function horizon(norms) {
  const last = norms.length - 1;
  return last - norms.findIndex((norm) => norm > 0.01 * norms[last]);
}

// ---- elements

function make(name, content, attributes = {}, space = "http://www.w3.org/1999/xhtml") {
  const made = document.createElementNS(space, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...[content].flat().filter((part) => part !== null && part !== ""));
  return made;
}
const svg = (name, attributes, content = []) =>
  make(name, content, attributes, "http://www.w3.org/2000/svg");

const stroke = (n) => ({ class: n % 2 ? "line odd" : "line", "stroke-dasharray": DASHES[n % 4] });

// ---- colours

function paint() {
  const row_of = now.chosen && now.view === "reach" ? row(inputs, now.chosen) : [];
  const most = Math.max(...row_of, 0);
  box.dataset.view = now.view;
  tokens.forEach((token, t) => {
    let value = t ? data.surprisal[t - 1] / data.scale : 0;
    if (now.view === "reach") {
      const norm = row_of[t] || 0;
      value = norm > 0 ? Math.max(0, 1 + Math.log10(norm / most) / DECADES) : 0;
    } else if (now.view === "unit") {
      value = activation(now.layer, now.unit, t) / (largest(now.layer, now.unit) || 1);
    }
    token.style.setProperty("--v", Math.min(1, Math.abs(value)).toFixed(3));
    token.classList.toggle("below", now.view === "unit" && value < 0);
    token.classList.toggle("after", now.view === "reach" && now.chosen > 0 && t > now.chosen);
    token.classList.toggle("chosen", t > 0 && t === now.chosen);
    token.setAttribute("aria-pressed", String(t > 0 && t === now.chosen));
  });
  legend();
}

function legend() {
  const bar = (kind) => make("span", "", { class: `scale ${kind}`, "aria-hidden": "true" });
  const said = {
    surprisal: () => ["surprisal: 0 ", bar("hot"), ` ${short(data.scale)} ${data.base}`],
    reach: () =>
      now.chosen
        ? [`‖∂ℓ/∂x‖ of the loss of ${quoted(now.chosen)}: 0.1 % `, bar("cool"),
           " 100 % of the largest (logarithmic)"]
        : ["choose a token: click it, tap it, or press Enter on it"],
    unit: () => {
      const most = short(largest(now.layer, now.unit));
      return [`unit ${now.unit} of layer ${now.layer}: −${most} `, bar("both"), ` ${most}`,
              place()];
    },
  };
  at("legend").replaceChildren(...said[now.view]());
}

// Where the unit stands in the order that is chosen.
function place() {
  const order = data.orders[at("order").value];
  if (!order) return "";
  const found = order.units.findIndex(([l, u]) => l === now.layer && u === now.unit);
  if (found < 0) return "";
  return `; ${order.of} ${short(order.units[found][2])}, ${found + 1} of ${order.units.length}`;
}

// ---- what is said of a token

function facts(t) {
  const i = t - 1, { base } = data;
  return `${short(data.surprisal[i])} ${base}, probability ${percent(data.chance[i])}, ` +
    `rank ${data.rank[i].toLocaleString("en")} of ${data.vocabulary.toLocaleString("en")}; ` +
    `entropy ${short(data.entropy[i])} ${base}`;
}

function beside(t) {
  if (now.view === "unit") {
    return `unit ${now.unit} of layer ${now.layer} after it: ` +
      short(activation(now.layer, now.unit, t));
  }
  if (now.view !== "reach" || !now.chosen || t >= now.chosen) return "";
  const all = row(inputs, now.chosen);
  const share = percent(all[t] / (Math.max(...all) || 1));
  return `${back(now.chosen, t)} ${quoted(now.chosen)}: ‖∂ℓ/∂x‖ ${short(all[t])}, ` +
    `${share} of the largest`;
}

function show(t, aloud = true) {
  const more = beside(t);
  const parts = [make("h3", make("bdi", t ? data.names[t] : "start of the text"))];
  let said = more;
  if (t) {
    const guesses = data.guesses[t - 1];
    const items = guesses.map(([name, p], n) =>
      make("li", [make("bdi", name), " ", make("small", percent(p))],
        { style: `--p:${p}`, class: n + 1 === data.rank[t - 1] ? "right" : "" }));
    const strange = unknown.has(t) ? " Unknown to the model, which reads <unk>." : "";
    parts.push(make("p", `Token ${t}: ${facts(t)}.${strange}`), make("ol", items));
    const told = guesses.slice(0, 5).map(([name, p]) => `${name} ${percent(p)}`).join(", ");
    said = `${data.names[t]}: ${facts(t)}.${strange} Guesses: ${told}. ${more}`;
  }
  if (more) parts.splice(1, 0, make("p", more, { class: "more" }));
  at("details").replaceChildren(...parts);
  if (aloud) at("live").textContent = said;
}

// ---- where a loss reaches

function reached() {
  if (!now.chosen) return at("reached").replaceChildren();
  const t = now.chosen, words = row(inputs, t);
  const lines = states.map((norms) => row(norms, t));
  const most = Math.max(...words) || 1;
  const order = words.map((norm, s) => [norm, s]).sort((a, b) => b[0] - a[0]).slice(0, 5);
  const top = order.filter(([norm]) => norm > 0).map(([norm, s]) =>
    make("li", [make("bdi", quoted(s)), " ",
      make("small", `${percent(norm / most)}, ${back(t, s)}`)]));
  const layersSaid = lines.map((norms, n) => make("li", [
    svg("svg", { viewBox: "0 0 28 8", class: "key", "aria-hidden": "true" },
      [svg("path", { d: "M0 4H28", ...stroke(n) })]),
    ` layer ${n}: horizon ${horizon(norms)} of ${t - 1} steps`]));
  at("reached").replaceChildren(
    make("h3", ["Where the loss of ", make("bdi", quoted(t)), " reaches"]),
    make("p", "Strongest, in percent of the largest:"), make("ol", top),
    make("p", "The state’s lag profile, ‖∂ℓ/∂h‖ by steps before the guess:"),
    chart(lines), make("ul", layersSaid, { class: "keys" }));
}

function chart(lines) {
  const [W, H, left, right, top, bottom] = [340, 190, 46, 10, 4, 38];
  const lags = lines[0].length - 1;
  const all = lines.flat().filter((norm) => norm > 0).map(Math.log10);
  const high = Math.max(...all, -9) + 0.1, low = Math.max(Math.min(...all, high - 1), high - 8);
  const span = high - low;
  const x = (lag) => left + ((W - left - right) * lag) / Math.max(1, lags);
  const y = (log) => top + ((H - top - bottom) * (high - log)) / span;
  const parts = [];
  for (let power = Math.ceil(low); power <= high; power += Math.ceil(span / 4)) {
    parts.push(svg("path", { d: `M${left} ${y(power)}H${W - right}`, class: "grid" }),
      svg("text", { x: left - 5, y: y(power) + 4, "text-anchor": "end" },
        [power ? "10" : "1", power ? svg("tspan", { dy: -4, "font-size": "70%" },
          String(power).replace("-", "−")) : ""]));
  }
  const every = Math.max(1, Math.ceil(lags / 5 / 5) * 5);
  for (let lag = 0; lag <= lags; lag += lags < 6 ? 1 : every) {
    parts.push(svg("text", { x: x(lag), y: H - bottom + 15, "text-anchor": "middle" },
      String(lag)));
  }
  parts.push(svg("text", { x: (left + W) / 2, y: H - 6, "text-anchor": "middle" },
    "steps before the guess"));
  lines.forEach((norms, n) => {
    let path = "";
    for (let lag = 0; lag <= lags; lag++) {
      const norm = norms[lags - lag];
      if (!(norm > 0) || Math.log10(norm) < low) break;
      path += `${path ? "L" : "M"}${x(lag).toFixed(1)} ${y(Math.log10(norm)).toFixed(1)}`;
    }
    parts.push(svg("path", { d: lags ? path : `${path}h4`, ...stroke(n) }));
  });
  const told = `Lag profile of ${lines.length} layer${lines.length > 1 ? "s" : ""} over ` +
    `${lags} steps`;
  return svg("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": told, class: "chart" },
    parts);
}

// ---- what the reader does

function look(view) {
  now.view = view;
  document.querySelector(`input[value="${view}"]`).checked = true;
  at("choice").hidden = view !== "unit";
  paint();
}

function choose(t, address = true) {
  now.chosen = t;
  if (address) history.replaceState(null, "", t ? `#t${t}` : "#");
  // By touch a token is looked at by choosing it: a unit stays in view meanwhile.
  if (!t) look("surprisal"); else look(now.view === "unit" ? "unit" : "reach");
  reached();
  show(t || now.focus);
}

function move(t) {
  tokens[now.focus].tabIndex = -1;
  now.focus = Math.min(Math.max(t, 0), tokens.length - 1);
  tokens[now.focus].tabIndex = 0;
  tokens[now.focus].focus();
}

// The token nearest in the line of the screen above (way -1) or below (1).
function nearest(t, way) {
  const here = tokens[t].getBoundingClientRect(), middle = here.left + here.width / 2;
  let best = t, distance = Infinity, line = null;
  for (let n = t + way; n >= 0 && n < tokens.length; n += way) {
    const there = tokens[n].getBoundingClientRect();
    if (way * (there.top - here.top) < here.height / 2) continue;
    line ??= there.top;
    if (Math.abs(there.top - line) > here.height / 2) break;
    const far = Math.abs(there.left + there.width / 2 - middle);
    if (far < distance) [best, distance] = [n, far];
  }
  return best;
}

function pick(layer, unit) {
  now.layer = Math.min(Math.max(layer, 0), layers.length - 1);
  now.unit = ((unit % width(now.layer)) + width(now.layer)) % width(now.layer);
  at("layer").value = String(now.layer);
  at("unit").max = String(width(now.layer) - 1);
  at("unit").value = String(now.unit);
  paint();
  at("live").textContent = at("legend").textContent;
}

function turn(way) {
  const order = data.orders[at("order").value];
  if (!order) return pick(now.layer, now.unit + way);
  const found = order.units.findIndex(([l, u]) => l === now.layer && u === now.unit);
  const count = order.units.length, next = found < 0 ? 0 : (found + way + count) % count;
  pick(order.units[next][0], order.units[next][1]);
}

function address(focus) {
  const token = /^#t(\d+)$/.exec(location.hash), unit = /^#u(\d+)-(\d+)$/.exec(location.hash);
  if (token && tokens[token[1]]) {
    choose(Number(token[1]), false);
    if (focus) move(now.chosen);
    tokens[now.chosen].scrollIntoView({ block: "center" });
  } else if (unit && layers[unit[1]]) {
    look("unit");
    pick(Number(unit[1]), Number(unit[2]));
  }
}

const number = (event) => tokens.indexOf(event.target.closest?.(".token"));
const keys = {
  ArrowRight: () => move(now.focus + 1),
  ArrowLeft: () => move(now.focus - 1),
  ArrowDown: () => move(nearest(now.focus, 1)),
  ArrowUp: () => move(nearest(now.focus, -1)),
  Home: () => move(0),
  End: () => move(tokens.length - 1),
  Enter: () => choose(now.focus),
  " ": () => choose(now.focus),
  Escape: () => choose(0),
};
box.addEventListener("click", (event) => {
  if (number(event) >= 0) { move(number(event)); choose(now.focus); }
});
box.addEventListener("focusin", (event) => {
  if (number(event) >= 0) { move(number(event)); show(now.focus); }
});
box.addEventListener("mouseover", (event) => {
  if (number(event) >= 0) show(number(event), false);
});
box.addEventListener("mouseleave", () => show(now.chosen || now.focus, false));
box.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || !keys[event.key]) return;
  event.preventDefault();
  keys[event.key]();
});
for (const input of document.querySelectorAll("input[name=view]")) {
  input.addEventListener("change", () => { look(input.value); show(now.chosen || now.focus); });
}
layers.forEach((_, n) => at("layer").append(make("option", String(n), { value: n })));
Object.keys(data.orders).forEach((name) =>
  at("order").append(make("option", name, { value: name })));
at("layer").addEventListener("change", () => pick(Number(at("layer").value), now.unit));
at("unit").addEventListener("change", () => pick(now.layer, Math.trunc(Number(at("unit").value)) || 0));
at("order").addEventListener("change", () => {
  const order = data.orders[at("order").value];
  if (order) pick(order.units[0][0], order.units[0][1]); else pick(now.layer, now.unit);
});
at("previous").addEventListener("click", () => turn(-1));
at("next").addEventListener("click", () => turn(1));
addEventListener("hashchange", () => address(true));

paint();
address(false);
if (!now.chosen) show(now.focus, false);
