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

/** A bar that is filled to a share, 0 to 1. */
function shareBar(share) {
  const bar = make("span", { class: "share", "aria-hidden": true });
  bar.style.backgroundSize = `${100 * share}%`;
  return bar;
}

function percent(share) {
  if (share >= 0.0995) return `${Math.round(100 * share)}%`;
  return share >= 0.001 ? `${(100 * share).toFixed(1)}%` : "< 0.1%";
}

/** A number with two digits; `plus` stands before one that is not negative. */
const digits = (value, plus = "") => (value < -0.005 ? "−" : plus) + Math.abs(value).toFixed(2);
const cellName = (cell, H) => `layer ${Math.floor(cell / H) + 1}, cell ${(cell % H) + 1}`;

/** Calls `act` with how far an arrow key goes; `down()` says how far the one that points down does. */
function onArrows(element, down, act) {
  element.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -down(), ArrowDown: down() }[event.key];
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
    rows = reading.expected[position];
    if (!rows.some(([v]) => v === index)) rows = [...rows, [index, share]];
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
    onArrows(grid, columns, (by) => go(by, layer));
    panel.append(make("h3", {}, `layer ${layer + 1}`), grid);
  }
  return squares;
}

/** A row of the table of facts: the cell that follows one best, and how well. */
function factRow({ name, is_number: isNumber, base, cell, rises, strength, chance, pair }, H) {
  const score = (value) => digits(isNumber ? value : (1 + value) / 2); // of a condition, the area under the ROC curve
  const own = score(isNumber && !rises ? -strength : strength);
  return make("tr", { "data-cell": cell },
    make("th", { scope: "row" }, make("button", { type: "button" }, name), make("small", {}, cellName(cell, H))),
    make("td", { class: "score" }, isNumber || rises ? "" : "↓ ", own, shareBar(Math.max(0, strength))),
    make("td", {}, score(pair)), make("td", {}, score(chance)),
    make("td", {}, isNumber ? `⌀ ${base.toFixed(1)}` : percent(base)));
}

/** The gates in the list; those that go through tanh are scaled to the range of the others. */
const GATE_NAMES = {
  i: "input gate i", f: "forget gate f", o: "output gate o", z: "update gate z", r: "reset gate r",
  g: "g, as (1 + g) / 2", n: "n, as (1 + n) / 2", h: "h, as (1 + h) / 2",
};

/** Fills the lists of layers and gates; the last layer and, if there is one, the forget gate are shown first. */
function fillLists(layers, gates, model) {
  for (let l = 0; l < model.L; l++) layers.append(new Option(`layer ${l + 1}`, l, false, l === model.L - 1));
  model.gates.forEach((name, g) => gates.append(new Option(GATE_NAMES[name], g, false, name === "f")));
}

const SIDE = 240; // of the square in which the gates are drawn

/** A dot for each cell of a layer: the share of time that a gate was below 0.1 (x) and above 0.9 (y). */
function showSaturation(plot, { model: { H, gates }, low, high, steps }, layer, gate, chosen) {
  const dots = Array.from({ length: H }, (_, k) => {
    const cell = layer * H + k, at = (layer * gates.length + gate) * H + k;
    const [x, y] = [low, high].map((counts) => counts[at] / Math.max(1, steps));
    return make("circle", { cx: x * SIDE, cy: (1 - y) * SIDE, "data-cell": cell, "aria-selected": cell === chosen },
      make("title", {}, `${cellName(cell, H)}: below 0.1 ${percent(x)}, above 0.9 ${percent(y)}`));
  });
  const last = dots.filter((dot) => Number(dot.dataset.cell) === chosen); // drawn over the others
  plot.replaceChildren(make("path", { d: `M0 0V${SIDE}H${SIDE}Z`, class: "axes" }), ...dots, ...last);
}
