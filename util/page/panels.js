// What is shown beside the text: the prediction and the cells at the cursor, facts that cells follow, saturated gates.

/** A new element: make("td", {class: "x"}, "text", child, ...). */
function make(name, attributes = {}, ...children) {
  const svg = ["svg", "circle", "path", "text", "g"].includes(name);
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

const signed = (value) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(2);
const cellName = (cell, H) => `layer ${Math.floor(cell / H) + 1}, cell ${(cell % H) + 1}`;

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
  const chip = make("b", { class: "character" }, name), bars = make("ol");
  if (index < 0) {
    panel.replaceChildren(make("p", {}, chip, " is no character of this model; the network passes over it."));
    return;
  }
  const bits = reading.surprise(position), share = 2 ** -bits;
  const bar = (v, probability) => bars.append(make("li", v === index ? { class: "actual" } : {},
    make("span", { class: "character" }, alphabet.name(alphabet.vocabulary[v])),
    shareBar(probability), make("span", {}, percent(probability))));
  const sentence = reading.starts.has(position)
    ? ` begins a passage: before it, all ${reading.model.V} characters are equally likely.`
    : ` was ${percent(share)} likely: ${bits.toFixed(bits < 10 ? 2 : 1)} bits of surprise.`;
  if (!reading.starts.has(position)) {
    const expected = reading.expected(position);
    expected.forEach(([v, probability]) => bar(v, probability));
    if (!expected.some(([v]) => v === index)) bar(index, share);
  }
  panel.replaceChildren(make("p", {}, chip, sentence), bars);
}

/** The cells of all layers as small squares. */
class CellGrids {
  /** Calls `chosen(cell)` when one is clicked, or reached by the arrow keys. */
  constructor(panel, { L, H }, chosen) {
    this.squares = [];
    for (let layer = 0; layer < L; layer++) {
      const label = `cells of layer ${layer + 1}`;
      const grid = make("div", { class: "grid", role: "listbox", tabindex: 0, "aria-label": label });
      for (let k = 0; k < H; k++) {
        const name = cellName(layer * H + k, H);
        this.squares.push(make("i", { role: "option", "data-cell": layer * H + k, "aria-label": name, title: name }));
      }
      grid.append(...this.squares.slice(layer * H));
      grid.addEventListener("click", ({ target }) => target.dataset.cell && chosen(Number(target.dataset.cell)));
      grid.addEventListener("keydown", (event) => {
        const columns = getComputedStyle(grid).gridTemplateColumns.split(" ").length;
        const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
        if (!by) return;
        event.preventDefault();
        const first = layer * H, here = this.cell >= first && this.cell < first + H ? this.cell + by : first;
        chosen(Math.max(first, Math.min(first + H - 1, here)));
      });
      panel.append(make("h3", {}, `layer ${layer + 1}`), grid);
    }
  }

  /** Colors them by what they hold after the character at a position. */
  show(reading, position) {
    this.squares.forEach((square, cell) => {
      square.className = cellClass(reading.cell(position, cell));
    });
  }

  choose(cell) {
    if (this.cell != null) this.squares[this.cell].removeAttribute("aria-selected");
    this.cell = cell;
    if (cell != null) this.squares[cell].setAttribute("aria-selected", true);
  }
}

/** A row for each fact: the cell that follows it best, and how well. */
function showFacts(table, facts, H, chosen) {
  for (const found of [true, false]) {
    const rows = facts.filter((fact) => fact.found === found);
    if (!rows.length) continue;
    const body = make("tbody", found ? {} : { class: "weak" });
    if (!found) {
      const title = "no more than chance or the last two characters tell";
      body.append(make("tr", {}, make("th", { colspan: 5, scope: "rowgroup" }, title)));
    }
    body.append(...rows.map((fact) => factRow(fact, H, chosen)));
    table.append(body);
  }
}

function factRow({ name, is_number: isNumber, cell, score, rises, base, chance, pair }, H, chosen) {
  const digits = (value) => (value < -0.005 ? "−" : "") + Math.abs(value).toFixed(2);
  const strength = isNumber ? Math.abs(score) : 2 * score - 1;
  const button = make("button", { type: "button" }, name);
  button.addEventListener("click", () => chosen(cell));
  return make("tr", { "data-cell": cell },
    make("th", { scope: "row" }, button, make("small", {}, cellName(cell, H))),
    make("td", { class: "score" }, isNumber || rises ? "" : "↓ ", digits(score), shareBar(Math.max(0, strength))),
    make("td", {}, digits(pair)), make("td", {}, digits(chance)),
    make("td", {}, isNumber ? `⌀ ${base.toFixed(1)}` : percent(base)));
}

const SIDE = 240; // of the square in which the gates are drawn

/** A dot for each cell: the share of time that a gate was below 0.1 (x) and above 0.9 (y). */
class Saturation {
  constructor(plot, layer, gate, { L, H, cell }, chosen) {
    Object.assign(this, { plot, layer, gate, H, gates: GATES[cell] });
    for (let l = 1; l <= L; l++) layer.append(make("option", { value: l - 1 }, `layer ${l}`));
    this.gates.forEach((name, g) => {
      gate.append(make("option", { value: g }, gateName(name, g === this.gates.length - 1)));
    });
    layer.value = L - 1;
    gate.value = cell === "lstm" ? 1 : 0;
    for (const select of [layer, gate]) select.addEventListener("change", () => this.show(this.reading, this.cell));
    plot.addEventListener("click", ({ target }) => target.dataset.cell && chosen(Number(target.dataset.cell)));
    plot.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
      if (!by) return;
      event.preventDefault();
      const first = Number(layer.value) * H, inside = this.cell >= first && this.cell < first + H;
      chosen(inside ? Math.max(first, Math.min(first + H - 1, this.cell + by)) : first);
    });
  }

  /** Draws what a reading has counted so far; the cell that colors the text stands out. */
  show(reading, cell) {
    Object.assign(this, { reading, cell });
    const { H, gates } = this, layer = Number(this.layer.value);
    const first = (layer * gates.length + Number(this.gate.value)) * H, steps = Math.max(1, reading.steps);
    const axes = make("path", { d: `M0 0V${SIDE}H${SIDE}Z`, class: "axes" });
    const dots = Array.from({ length: H }, (_, k) => {
      const x = reading.low[first + k] / steps, y = reading.high[first + k] / steps;
      const place = { cx: (x * SIDE).toFixed(1), cy: ((1 - y) * SIDE).toFixed(1), r: 4 };
      const dot = make("circle", { ...place, "data-cell": layer * H + k }, make("title", {}, ""));
      dot.firstChild.textContent = `${cellName(layer * H + k, H)}: below 0.1 ${percent(x)}, above 0.9 ${percent(y)}`;
      if (layer * H + k === cell) dot.setAttribute("aria-selected", true);
      return dot;
    });
    dots.sort((a, b) => a.hasAttribute("aria-selected") - b.hasAttribute("aria-selected"));
    this.plot.querySelector("g").replaceChildren(axes, ...dots);
  }
}

/** A gate's name in the list; one that goes through tanh is scaled to the range of the others. */
function gateName(gate, isTanh) {
  const names = { i: "input gate", f: "forget gate", o: "output gate", z: "update gate", r: "reset gate" };
  return isTanh ? `${gate}, as (1 + ${gate}) / 2` : `${names[gate]} ${gate}`;
}
