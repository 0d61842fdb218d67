// The page itself: it reads its text, what is pasted, and what it writes, and shows what the network makes of it.

const FIRST_POSITION = 60; // of the cursor: by then the network knows what it reads
const SLICE = 24; // milliseconds that the network computes before the page may respond again

const byId = (id) => document.getElementById(id);
const content = JSON.parse(byId("content").textContent);
const alphabet = new Alphabet(content.vocabulary, content.bytes);
const model = new Model(content, decodedNumbers(byId("weights").textContent.trim(), content.stored));
byId("weights").remove(); // its content is in the model now

for (const rule of colorRules()) document.styleSheets[0].insertRule(rule);

const unit = content.bytes ? "byte" : "character";
const count = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;

const readings = {}; // the last one of each tab
let reading = null, held = false, cell = null, timer = 0;
const text = new TextView(byId("text"), alphabet, moved);
const squares = makeSquares(byId("grids"), model, go);
const layerShown = byId("layer"), gateShown = byId("gate");
const drawGates = () => showSaturation(byId("dots"), reading, Number(layerShown.value), Number(gateShown.value), cell);

/** Turns to another reading, and goes on with it. `label` is what the page says before the figures. */
function turnTo(next, label = next.label) {
  reading = Object.assign(next, { label });
  held = false;
  byId("prediction").replaceChildren();
  byId("status").textContent = label;
  text.start(reading);
  proceed();
}

/** Reads on, or writes, until the reading is complete: a slice now and the next soon, with the progress after each. */
function proceed() {
  clearTimeout(timer);
  const end = performance.now() + SLICE, from = reading.length;
  while (reading.length < reading.size && performance.now() < end) reading.advance();
  const complete = reading.length === reading.size;
  text.grow(from);
  if (text.position >= from) draw();
  if (text.position < 0 && reading.length > (complete ? 0 : FIRST_POSITION)) {
    text.moveTo(Math.min(reading.length - 1, FIRST_POSITION));
    draw();
  }
  drawGates();
  Object.assign(byId("progress"), { max: reading.size, value: reading.length, hidden: complete });
  byId("go").textContent = complete || !reading.choose ? "Write" : "Stop";
  if (!complete) timer = setTimeout(proceed);
  else if (reading.size) byId("status").textContent = `${reading.label} ${summary(reading)}`.trim();
}

function summary({ indices, surprises, starts, length }) {
  const parts = [count(indices.length, unit) + (starts.size ? ` in ${starts.size + 1} passages` : "")];
  const predicted = surprises.subarray(0, length).filter((bits) => !isNaN(bits));
  const mean = sumOf(predicted) / predicted.length, nats = (mean * Math.LN2).toFixed(3);
  if (predicted.length) parts.push(`${mean.toFixed(2)} bits of surprise a ${unit} (${nats} nats)`);
  const unknown = indices.filter((index) => index < 0).length;
  if (unknown) parts.push(`${unknown.toLocaleString("en")} of them unknown to the model`);
  return parts.join(", ") + ".";
}

/** What is said of a text that is longer than a reading may be. */
const cut = ({ size, wanted }) =>
  size < wanted ? `Cut: the whole text has ${count(wanted, unit)}, more than fit here.` : "";

/** Reads passages, arrays of the model's characters. */
function read(tab, passages, label) {
  const next = new Reading(model, passages.flat().length);
  if (tab === "paste") next.network.begin();
  for (const characters of passages) next.addPassage(characters, alphabet);
  turnTo(readings[tab] = next, `${label} ${cut(next)}`.trim());
}

/** A text that is to be written, as sample.py does with these flags. Throws a RangeError that says what is wrong. */
function writing({ seed = 123, temperature = 1, length = 2000, primetext = "" } = {}) {
  const prime = alphabet.split(primetext), unknown = prime.filter((character) => alphabet.index(character) < 0);
  const some = unknown.slice(0, 5).map((character) => `“${alphabet.name(character)}”`).join(", ");
  if (some) throw new RangeError(`The model has never seen ${some}; leave it out of the beginning.`);
  const next = new Reading(model, prime.length + length, chooser(seed, temperature));
  next.network.begin();
  next.addPassage(prime, alphabet);
  return next;
}

function write() {
  const [temperature, length, seed] = ["temperature", "length", "seed"].map((id) => Number(byId(id).value));
  try {
    const next = writing({ seed, temperature, length, primetext: byId("primetext").value });
    turnTo(readings.write = next, cut(next));
  } catch (error) {
    turnTo(new Reading(model, 0), error.message);
  }
}

/** Colors the text by a cell, or by surprise if it is null. */
function colorBy(next) {
  cell = next;
  const { H } = model, isCell = cell !== null;
  text.recolor(cell);
  if (isCell) layerShown.value = Math.floor(cell / H);
  drawGates();
  for (const one of document.querySelectorAll("aside [data-cell]")) {
    one.setAttribute("aria-selected", Number(one.dataset.cell) === cell);
  }
  byId(isCell ? "by-cell" : "by-surprise").control.checked = true;
  byId("cell-name").textContent = isCell ? cellName(cell, H) : "a cell";
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
  if (how === "mouseover" && held) return;
  if (how !== "mouseover") held = how === "key" || !(held && to === text.position);
  text.moveTo(to, how === "key");
  draw();
}

/** Redraws the panels; where the network has yet to read, they wait for it. */
function draw() {
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
}

/** Opens a tab: the page's own text, what the network writes, or what is pasted. */
function open(tab) {
  byId(`tab-${tab}`).control.checked = true;
  for (const name of ["write", "paste"]) byId(`form-${name}`).hidden = name !== tab;
  if (readings[tab]) turnTo(readings[tab]);
  else if (tab === "own") read(tab, content.passages.map((passage) => Array.from(passage)), content.source);
  else if (tab === "write") write();
  else turnTo(new Reading(model, 0), "Paste a text, and the network reads it.");
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
    return content.bytes ? decoded(text.characters) : text.characters.join("");
  },
};

const { name, about, tab, searched, facts } = content;
const words = { name, about, "own-name": tab, searched: searched.toLocaleString("en") };
for (const [id, said] of Object.entries(words)) byId(id).textContent = said;
byId("facts-section").hidden = !facts.length;
for (const fact of facts) byId(fact.found ? "found" : "weak").append(factRow(fact, model.H));
showTicks(byId("bits"), byId("likely"), mostBits(model.V));
fillLists(layerShown, gateShown, model);

for (const tab of ["own", "write", "paste"]) byId(`tab-${tab}`).control.addEventListener("change", () => open(tab));
document.addEventListener("submit", (event) => {
  event.preventDefault();
  if (event.target.id === "form-paste") return read("paste", [alphabet.split(byId("pasted").value)], "");
  if (byId("go").textContent === "Write") return write();
  Object.assign(reading, { size: reading.length, label: "Stopped." }); // so it is complete
  proceed();
});
byId("by-surprise").addEventListener("change", () => colorBy(null));
byId("by-cell").addEventListener("change", () => colorBy(facts[0]?.cell ?? 0));
for (const list of [layerShown, gateShown]) list.addEventListener("change", drawGates);
onArrows(byId("plot"), () => -1, (by) => go(by, Number(layerShown.value)));
document.querySelector("aside").addEventListener("click", ({ target }) => {
  const chosen = target.closest("[data-cell]");
  if (!chosen) return;
  colorBy(Number(chosen.dataset.cell));
  if (matchMedia("(max-width: 820px)").matches) byId("reader").scrollIntoView(); // the text is above; see page.css
});
document.addEventListener("keydown", ({ key }) => {
  if (key !== "Escape") return;
  held = false;
  draw();
});

open("own");
colorBy(null);
