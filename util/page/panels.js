// What is shown beside the text: the prediction and the cells at the cursor, facts that cells follow, saturated gates.
// Whatever stands for a cell has its number as data-cell.

/** A new element: make("td", {class: "x"}, "text", child, ...). */
function make(name, attributes = {}, ...children) {
  const svg = ["circle", "path", "title"].includes(name);
  const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** A bar filled to a fraction, 0 to 1, of its width. */
function shareBar(share) {
  const bar = make("span", { class: "share", "aria-hidden": true }, make("span"));
  bar.firstChild.style.width = `${100 * share}%`;
  return bar;
}

function percent(share) {
  if (share >= 0.0995) return `${Math.round(100 * share)}%`;
  return share >= 0.001 ? `${(100 * share).toFixed(1)}%` : "< 0.1%";
}

/** A number with two digits; `plus` stands before one that is not negative. */
const digits = (value, plus = "") => (value < -0.005 ? "−" : plus) + Math.abs(value).toFixed(2);
const cellName = (cell, H) => `layer ${Math.floor(cell / H) + 1}, cell ${(cell % H) + 1}`;

/** Calls `act` with how far an arrow key goes; `up()` and `down()` say how far those two do. */
function onArrows(element, up, down, act) {
  element.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: up(), ArrowDown: down() }[event.key];
    if (!by) return;
    event.preventDefault();
    act(by);
  });
}

/** The numbers under the scale of surprise: bits, and the probability that each stands for. */
function showTicks(bits, likely, most) {
  for (let k = 0; k <= 8; k++) {
    const value = k * most / 8, last = k === 8;
    bits.append(make("li", {}, last ? `${value}+ bits` : String(value)));
    likely.append(make("li", {}, k === 0 ? "certain" : percent(2 ** -value) + (last ? " likely" : "")));
  }
}

/** How likely the character at a position was, and the most likely ones there as bars. */
function showPrediction(panel, reading, position, alphabet) {
  const index = reading.indices[position], name = alphabet.name(reading.characters[position]);
  const bits = reading.surprises[position], share = 2 ** -bits;
  let sentence = ` was ${percent(share)} likely: ${bits.toFixed(bits < 10 ? 2 : 1)} bits of surprise.`, rows = [];
  if (index < 0) {
    sentence = " is no character of this model; the network passes over it.";
  } else if (isNaN(bits)) {
    sentence = ` begins a passage: before it, all ${reading.model.V} characters are equally likely.`;
  } else {
    rows = reading.expected(position);
    if (!rows.some(([v]) => v === index)) rows.push([index, share]);
  }
  panel.replaceChildren(
    make("p", {}, make("b", { class: "character" }, name), sentence),
    make("ol", {}, ...rows.map(([v, probability]) => make("li", v === index ? { class: "actual" } : {},
      make("span", { class: "character" }, alphabet.name(alphabet.vocabulary[v])),
      shareBar(probability), make("span", {}, percent(probability))))));
}

/** The cells of all layers as small squares; calls `go(by, layer)` when an arrow key is pressed. */
function makeSquares(panel, { L, H }, go) {
  const squares = Array.from({ length: L * H }, (_, cell) => make("i",
    { role: "option", "data-cell": cell, "aria-label": cellName(cell, H), title: cellName(cell, H) }));
  for (let layer = 0; layer < L; layer++) {
    const attributes = { class: "grid", role: "listbox", tabindex: 0, "aria-label": `cells of layer ${layer + 1}` };
    const grid = make("div", attributes, ...squares.slice(layer * H, (layer + 1) * H));
    const columns = () => getComputedStyle(grid).gridTemplateColumns.split(" ").length;
    onArrows(grid, () => -columns(), columns, (by) => go(by, layer));
    panel.append(make("h3", {}, `layer ${layer + 1}`), grid);
  }
  return squares;
}

/** A row for each fact: the cell that follows it best, and how well. */
function showFacts(table, facts, H) {
  for (const found of [true, false]) {
    const rows = facts.filter((fact) => fact.found === found).map((fact) => factRow(fact, H));
    if (!rows.length) continue;
    const title = make("th", { colspan: 5, scope: "rowgroup" }, "no more than chance or the last two characters tell");
    table.append(found ? make("tbody", {}, ...rows) : make("tbody", { class: "weak" }, make("tr", {}, title), ...rows));
  }
}

function factRow({ name, is_number: isNumber, cell, score, rises, base, chance, pair }, H) {
  const strength = isNumber ? Math.abs(score) : 2 * score - 1;
  return make("tr", { "data-cell": cell },
    make("th", { scope: "row" }, make("button", { type: "button" }, name), make("small", {}, cellName(cell, H))),
    make("td", { class: "score" }, isNumber || rises ? "" : "↓ ", digits(score), shareBar(Math.max(0, strength))),
    make("td", {}, digits(pair)), make("td", {}, digits(chance)),
    make("td", {}, isNumber ? `⌀ ${base.toFixed(1)}` : percent(base)));
}

const SIDE = 240; // of the square in which the gates are drawn

/** A dot for each cell: the share of time that a gate was below 0.1 (x) and above 0.9 (y). */
class Saturation {
  /** Calls `go(by, layer)` when an arrow key is pressed. */
  constructor(plot, layer, gate, { L, H, gates }, go) {
    Object.assign(this, { plot, layer, gate, H, gates });
    for (let l = 1; l <= L; l++) layer.append(make("option", { value: l - 1 }, `layer ${l}`));
    this.gates.forEach((name, g) => gate.append(make("option", { value: g }, GATE_NAMES[name])));
    layer.value = L - 1;
    gate.value = Math.max(0, gates.indexOf("f"));
    for (const select of [layer, gate]) select.addEventListener("change", () => this.draw(this.reading, this.cell));
    onArrows(plot, () => 1, () => -1, (by) => go(by, Number(layer.value)));
  }

  /** Draws what a reading has counted so far; the cell that colors the text stands out. */
  draw(reading, cell) {
    Object.assign(this, { reading, cell });
    const { H, gates } = this, layer = Number(this.layer.value);
    const first = (layer * gates.length + Number(this.gate.value)) * H, steps = Math.max(1, reading.steps);
    const dots = Array.from({ length: H }, (_, k) => {
      const number = layer * H + k, x = reading.low[first + k] / steps, y = reading.high[first + k] / steps;
      const center = { cx: (x * SIDE).toFixed(1), cy: ((1 - y) * SIDE).toFixed(1) };
      return make("circle", { ...center, r: 4, "data-cell": number, "aria-selected": number === cell },
        make("title", {}, `${cellName(number, H)}: below 0.1 ${percent(x)}, above 0.9 ${percent(y)}`));
    });
    const axes = make("path", { d: `M0 0V${SIDE}H${SIDE}Z`, class: "axes" });
    const chosen = dots.filter((dot) => Number(dot.dataset.cell) === cell); // drawn last, over the others
    this.plot.querySelector("g").replaceChildren(axes, ...dots, ...chosen);
  }
}

/** The gates in the list; those that go through tanh are scaled to the range of the others. */
const GATE_NAMES = {
  i: "input gate i", f: "forget gate f", o: "output gate o", z: "update gate z", r: "reset gate r",
  g: "g, as (1 + g) / 2", n: "n, as (1 + n) / 2", h: "h, as (1 + h) / 2",
};
