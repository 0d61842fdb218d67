// The page itself: it reads its text, what is pasted, and what it writes, and shows what the network makes of it.

const FIRST_POSITION = 60; // of the cursor: by then the network knows what it reads
const GLANCE = 300; // milliseconds between pictures of the gates while it computes
const SLICE = 24; // milliseconds that the network computes before the page may respond again

const byId = (id) => document.getElementById(id);
const content = JSON.parse(byId("content").textContent);
const alphabet = new Alphabet(content.vocabulary, content.bytes);
const model = new Model(content, decodedNumbers(byId("weights").textContent.trim(), content.stored));
byId("weights").remove(); // its content is in the model now

const styles = document.querySelector("style").sheet;
for (const rule of colorRules()) styles.insertRule(rule, styles.cssRules.length);

const unit = content.bytes ? "byte" : "character";
const count = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;

const readings = {}; // the last one of each tab
let reading = null, held = false, cell = null, turn = 0, frame = 0;
const text = new TextView(byId("text"), alphabet, moved);
const squares = makeSquares(byId("grids"), model, go);
const saturation = new Saturation(byId("plot"), byId("layer"), byId("gate"), model, go);

/** Turns to another reading, and goes on with it. `label` is what the page says before the figures. */
function turnTo(next, label = next.label) {
  reading = next;
  reading.label = label;
  held = false;
  byId("prediction").replaceChildren();
  byId("status").textContent = label;
  text.start(reading);
  proceed();
}

/** Reads on, or writes, until the reading is complete or another is shown: in slices, with the progress after each. */
function proceed() {
  const mine = ++turn, bar = byId("progress");
  let drawAgain = 0;
  const slice = () => {
    if (turn !== mine) return;
    const end = performance.now() + SLICE, from = reading.length;
    while (reading.length < reading.size && performance.now() < end) reading.advance();
    const complete = reading.length === reading.size;
    text.grow(from);
    if (text.position >= from) draw();
    if (text.position < 0 && reading.length > (complete ? 0 : FIRST_POSITION)) {
      moveTo(Math.min(reading.length - 1, FIRST_POSITION));
    }
    if (complete || end > drawAgain) {
      saturation.draw(reading, cell);
      drawAgain = end + GLANCE;
    }
    Object.assign(bar, { max: reading.size, value: reading.length, hidden: complete });
    byId("go").textContent = complete || !reading.choose ? "Write" : "Stop";
    if (!complete) setTimeout(slice);
    else if (reading.size) byId("status").textContent = `${reading.label} ${summary(reading)}`.trim();
  };
  slice();
}

function summary({ indices, surprises, starts, length }) {
  const parts = [count(indices.length, unit) + (starts.size > 1 ? ` in ${starts.size} passages` : "")];
  const predicted = surprises.subarray(0, length).filter((bits) => !isNaN(bits));
  if (predicted.length) {
    const mean = sumOf(predicted) / predicted.length;
    parts.push(`${mean.toFixed(2)} bits of surprise a ${unit} (${(mean * Math.LN2).toFixed(3)} nats)`);
  }
  const unknown = indices.filter((index) => index < 0).length;
  if (unknown) parts.push(`${unknown.toLocaleString("en")} of them unknown to the model`);
  return parts.join(", ") + ".";
}

/** Reads passages, arrays of the model's characters. */
function read(tab, passages, label) {
  const whole = passages.flat().length, next = new Reading(model, Math.min(whole, Reading.longest(model)));
  for (const characters of passages) {
    const start = next.characters.length, fitting = characters.slice(0, next.size - start);
    if (fitting.length && !(tab === "paste" && next.network.begin())) next.starts.add(start);
    for (const character of fitting) next.add(character, alphabet.index(character));
  }
  const cut = next.size < whole ? `Cut: the whole text has ${count(whole, unit)}, more than fit here.` : "";
  turnTo(readings[tab] = next, `${label} ${cut}`.trim());
}

/** A text that is to be written, as sample.py does with these flags. Throws a RangeError that says what is wrong. */
function writing({ seed = 123, temperature = 1, length = 2000, primetext = "" } = {}) {
  const prime = alphabet.split(primetext), unknown = prime.filter((character) => alphabet.index(character) < 0);
  const some = unknown.slice(0, 5).map((character) => `“${alphabet.name(character)}”`).join(", ");
  if (some) throw new RangeError(`The model has never seen ${some}; leave it out of the beginning.`);
  const size = Math.min(prime.length + length, Reading.longest(model));
  const next = new Reading(model, size, chooser(seed, temperature));
  if (!next.network.begin()) next.starts.add(0);
  for (const character of prime.slice(0, size)) next.add(character, alphabet.index(character));
  return next;
}

function write() {
  const [temperature, length, seed] = ["temperature", "length", "seed"].map((id) => Number(byId(id).value));
  try {
    turnTo(readings.write = writing({ seed, temperature, length, primetext: byId("primetext").value }), "");
  } catch (error) {
    turnTo(new Reading(model, 0), error.message);
  }
}

/** Colors the text by a cell, or by surprise if it is null. */
function colorBy(next) {
  cell = next;
  const { H } = model, isCell = cell !== null;
  text.recolor(cell);
  if (isCell) byId("layer").value = Math.floor(cell / H);
  saturation.draw(reading, cell);
  for (const one of document.querySelectorAll("aside [data-cell]")) {
    one.setAttribute("aria-selected", Number(one.dataset.cell) === cell);
  }
  byId("by-surprise").setAttribute("aria-pressed", !isCell);
  byId("by-cell").setAttribute("aria-pressed", isCell);
  byId("by-cell").textContent = isCell ? cellName(cell, H) : "a cell";
  byId("surprise-legend").hidden = isCell;
  byId("cell-legend").hidden = !isCell;
  draw();
}

/** Colors the text by the cell so much further on in a layer, or by its first one if another layer's does. */
function go(by, layer) {
  const { H } = model, first = layer * H, inside = cell !== null && cell >= first && cell < first + H;
  colorBy(inside ? Math.max(first, Math.min(first + H - 1, cell + by)) : first);
}

/** What the pointer and the keys do with the cursor: a click holds it, another one on the same position releases it. */
function moved(to, how) {
  if (how === "hover" && (held || to >= reading.length)) return;
  if (how !== "hover") held = how === "key" || !(held && to === text.position);
  moveTo(to, how === "key");
}

function moveTo(to, intoSight = false) {
  text.moveTo(to, intoSight);
  draw();
}

/** Redraws the panels, once before the next frame. Where the network has yet to read, they wait for it. */
function draw() {
  cancelAnimationFrame(frame);
  frame = requestAnimationFrame(() => {
    if (text.position < 0) return;
    byId("text").classList.toggle("held", held);
    byId("hold").textContent = held ? "held; Esc lets it go" : "a click holds it";
    if (text.position >= reading.length) {
      byId("prediction").textContent = "The network has not read this far yet.";
      return;
    }
    showPrediction(byId("prediction"), reading, text.position, alphabet);
    squares.forEach((square, k) => { square.className = cellClass(reading.cell(text.position, k)); });
    const value = () => `${cellName(cell, model.H)}: ${digits(reading.cell(text.position, cell), "+")}`;
    byId("value").textContent = cell === null ? "" : value();
  });
}

/** Opens a tab: the page's own text, what the network writes, or what is pasted. */
function open(tab) {
  for (const name of ["own", "write", "paste"]) {
    byId(`tab-${name}`).setAttribute("aria-selected", name === tab);
    byId(`tab-${name}`).tabIndex = name === tab ? 0 : -1;
    byId(`form-${name}`).hidden = name !== tab;
  }
  if (readings[tab]) turnTo(readings[tab]);
  else if (tab === "own") read(tab, content.passages.map((passage) => Array.from(passage)), content.source);
  else if (tab === "write") write();
  else turnTo(new Reading(model, 0), "Paste a text, and the network reads it.");
}

function start() {
  const { name, about, tab, searched, facts } = content;
  const words = { name, about, "tab-own": tab, searched: searched.toLocaleString("en") };
  for (const [id, said] of Object.entries(words)) byId(id).textContent = said;
  byId("facts-section").hidden = !facts.length;
  showFacts(byId("facts"), facts, model.H);
  showTicks(byId("bits"), byId("likely"), mostBits(model.V));

  const tabs = [...document.querySelectorAll("[role=tab]")];
  tabs.forEach((one, k) => {
    one.addEventListener("click", () => open(one.id.slice(4)));
    onArrows(one, () => 0, () => 0, (by) => {
      const next = tabs[(k + by + tabs.length) % tabs.length];
      next.focus();
      next.click();
    });
  });
  byId("form-write").addEventListener("submit", (event) => {
    event.preventDefault();
    if (byId("go").textContent === "Write") return write();
    Object.assign(reading, { size: reading.length, label: "Stopped." }); // so it is complete
    proceed();
  });
  byId("form-paste").addEventListener("submit", (event) => {
    event.preventDefault();
    read("paste", [alphabet.split(byId("pasted").value)], "");
  });
  byId("by-surprise").addEventListener("click", () => colorBy(null));
  byId("by-cell").addEventListener("click", () => cell === null && colorBy(facts[0]?.cell ?? 0));
  document.querySelector("aside").addEventListener("click", ({ target }) => {
    const chosen = target.closest("[data-cell]");
    if (!chosen) return;
    colorBy(Number(chosen.dataset.cell));
    if (matchMedia("(max-width: 820px)").matches) byId("reader").scrollIntoView(); // what it colors is above; see page.css
  });
  document.addEventListener("keydown", ({ key }) => {
    if (key !== "Escape") return;
    held = false;
    draw();
  });
  open("own");
  colorBy(null);
}

/** For tests, and for people who like the console. */
const network = new Network(model);
globalThis.charRNN = {
  vocabulary: content.vocabulary,
  reset: () => network.reset(),
  /** Feeds a character; returns the log-probabilities of the next one. */
  step: (index) => network.step(index).slice(),
  /** The text that sample.py prints with these flags; temperature 0 takes the most likely characters. */
  write(flags) {
    const text = writing(flags);
    while (text.length < text.size) text.advance();
    return alphabet.join(text.characters);
  },
};

start();
