// The page itself: it reads its text, what is pasted, and what it writes, and shows what the network makes of it.

const FIRST_PLACE = 60; // of the cursor: by then the network knows what it reads
const GLANCE = 300; // milliseconds between pictures of the gates while it computes
const SLICE = 24; // milliseconds that the network computes before the page may respond again

const byId = (id) => document.getElementById(id);
const content = JSON.parse(byId("content").textContent);
const alphabet = new Alphabet(content.vocabulary, content.bytes);
const model = new Model(content, decodedNumbers(byId("weights").textContent.trim(), content.stored));
byId("weights").remove(); // its content is in the model now

const styles = document.querySelector("style").sheet;
for (const rule of colorRules()) styles.insertRule(rule, styles.cssRules.length);

showTicks(byId("bits"), byId("likely"), mostBits(model.V));

const unit = content.bytes ? "byte" : "character";
const count = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;

const readings = {}; // the last one of each tab
let reading = null, position = -1, held = false, cell = null, writing = false, turn = 0, drawn = true;
const text = new TextView(byId("text"), alphabet, moved);
const grids = new CellGrids(byId("grids"), model, colorBy);
const saturation = new Saturation(byId("plot"), byId("layer"), byId("gate"), model, colorBy);

// What is shown

/** Shows a reading from now on, and stops whatever another was doing. */
function show(next) {
  reading = next;
  held = false;
  position = -1;
  byId("prediction").replaceChildren();
  text.show(reading);
  text.recolor(cell);
  stop();
  if (reading.length) begin();
  say(reading.status);
}

/** Puts the cursor on its first place. */
function begin() {
  moveTo(Math.min(reading.length - 1, FIRST_PLACE), false);
}

function say(sentence) {
  reading.status = sentence;
  byId("status").textContent = sentence;
}

/** Puts what the reading has gained on the page; if the end of the text was visible, it stays so. */
function follow(from) {
  const { pane } = text, atEnd = pane.scrollTop + pane.clientHeight > pane.scrollHeight - 40;
  const grown = reading.characters.length > text.length;
  text.grow();
  text.recolor(cell, from);
  if (grown && atEnd) pane.scrollTop = pane.scrollHeight;
}

/** Calls `step` until it returns false, in slices; shows the progress after each, and finally says `done()`. */
function inSlices(step, total, done) {
  const mine = ++turn, bar = byId("progress");
  let drawAgain = 0;
  bar.max = total;
  bar.hidden = false;
  const slice = () => {
    if (turn !== mine) return;
    const end = performance.now() + SLICE, from = reading.length;
    let goesOn = true;
    while (goesOn && performance.now() < end) for (let n = 0; n < 8 && goesOn; n++) goesOn = step();
    follow(from);
    if (end > drawAgain) {
      saturation.show(reading, cell);
      drawAgain = end + GLANCE;
    }
    bar.value = reading.length;
    if (position < 0 && (reading.length > FIRST_PLACE || !goesOn)) begin();
    if (goesOn) {
      setTimeout(slice);
      return;
    }
    stop();
    say(done());
  };
  slice();
}

/** Stops what is running; what is there stays. */
function stop() {
  turn++;
  writing = false;
  byId("progress").hidden = true;
  byId("go").textContent = "Write";
  saturation.show(reading, cell);
}

/** Reads passages, arrays of the model's characters, and shows them. */
function read(tab, passages, label) {
  const next = readings[tab] = new Reading(model);
  for (const characters of passages) next.addPassage(characters, alphabet.indices(characters));
  const whole = next.characters.length, limit = Math.min(whole, Reading.limit(model));
  next.status = label;
  next.resume = () => inSlices(() => next.length < limit && (next.advance(), true), limit, () => {
    const cut = limit < whole ? ` Only the first ${count(limit, unit)} were read, for lack of memory.` : "";
    return `${label} ${summary(next)}${cut}`.trim();
  });
  show(next);
  if (whole) next.resume();
}

function summary({ bits, predicted, indices, starts }) {
  const unknown = indices.filter((index) => index < 0).length;
  const parts = [count(indices.length, unit) + (starts.size > 1 ? ` in ${starts.size} passages` : "")];
  if (predicted) {
    const mean = bits / predicted;
    parts.push(`${mean.toFixed(2)} bits of surprise a ${unit} (${(mean * Math.LN2).toFixed(3)} nats)`);
  }
  if (unknown) parts.push(`${unknown.toLocaleString("en")} of them unknown to the model`);
  return parts.join(", ") + ".";
}

/** Colors the text by a cell, or by surprise if it is null. */
function colorBy(next) {
  cell = next;
  const { H } = model, isCell = cell !== null;
  text.recolor(cell);
  grids.choose(cell);
  if (isCell) byId("layer").value = Math.floor(cell / H);
  saturation.show(reading, cell);
  for (const row of document.querySelectorAll("#facts tr[data-cell]")) {
    row.toggleAttribute("aria-current", Number(row.dataset.cell) === cell);
  }
  byId("by-surprise").setAttribute("aria-pressed", !isCell);
  byId("by-cell").setAttribute("aria-pressed", isCell);
  byId("by-cell").textContent = isCell ? `${cellName(cell, H)}` : "a cell";
  byId("surprise-legend").hidden = isCell;
  byId("cell-legend").hidden = !isCell;
  draw();
}

/** What the pointer and the keys do with the cursor: a click holds it, another one on the same place releases it. */
function moved(to, how) {
  if (to >= reading.length || (how === "hover" && held)) return;
  if (how === "click") held = !(held && to === position);
  if (how === "key") held = true;
  moveTo(to, how === "key");
}

function moveTo(to, intoSight) {
  position = to;
  text.moveTo(to, intoSight);
  draw();
}

/** Redraws the panels, once before the next frame. */
function draw() {
  if (!drawn || position < 0) return;
  drawn = false;
  requestAnimationFrame(() => {
    drawn = true;
    if (position < 0) return;
    showPrediction(byId("prediction"), reading, position, alphabet);
    grids.show(reading, position);
    const value = () => `${cellName(cell, model.H)}: ${signed(reading.cell(position, cell))}`;
    byId("value").textContent = cell === null ? "" : value();
    byId("text").classList.toggle("held", held);
    byId("hold").textContent = held ? "held; Esc lets it go" : "a click holds it";
  });
}

// The three texts

function open(tab) {
  for (const name of ["own", "write", "paste"]) {
    byId(`tab-${name}`).setAttribute("aria-selected", name === tab);
    byId(`tab-${name}`).tabIndex = name === tab ? 0 : -1;
    byId(`form-${name}`).hidden = name !== tab;
  }
  if (writing) say(summary(reading));
  if (readings[tab]) {
    show(readings[tab]);
    if (reading.length < reading.characters.length) reading.resume?.();
  } else if (tab === "own") {
    read(tab, content.passages.map((passage) => Array.from(passage)), content.source);
  } else {
    show(new Reading(model));
    say(byId(`form-${tab}`).dataset.hint);
  }
}

function write() {
  const prime = alphabet.split(byId("primetext").value), indices = alphabet.indices(prime);
  const unknown = prime.filter((_, k) => indices[k] < 0);
  const [temperature, length, seed] = ["temperature", "length", "seed"].map((id) => Number(byId(id).value));
  const next = readings.write = new Reading(model);
  show(next);
  if (unknown.length) {
    const some = unknown.slice(0, 5).map((character) => `“${alphabet.name(character)}”`).join(", ");
    say(`The model has never seen ${some}; leave it out of the beginning.`);
    return;
  }
  if (prime.length || !content.opening.length) next.starts.add(0);
  else for (const index of content.opening) next.network.step(index);
  prime.forEach((character, k) => next.add(character, indices[k]));
  const choose = chooser(seed, temperature), total = Math.min(prime.length + length, Reading.limit(model));
  writing = true;
  byId("go").textContent = "Stop";
  inSlices(() => {
    if (next.length === total) return false;
    if (next.length === next.characters.length) {
      const index = choose(next.network.logProbs);
      next.add(alphabet.vocabulary[index], index);
    }
    next.advance();
    return true;
  }, total, () => summary(next));
}

// Everything that can be clicked

function start() {
  byId("name").textContent = content.name;
  byId("about").textContent = content.about;
  byId("tab-own").textContent = content.tab;
  byId("rounding").textContent = content.rounding;
  const { facts } = content;
  byId("facts-section").hidden = !facts.length;
  byId("facts-about").textContent = content.facts_about;
  showFacts(byId("facts"), facts, model.H, colorBy);

  const tabs = [...document.querySelectorAll("[role=tab]")];
  tabs.forEach((tab, k) => {
    tab.addEventListener("click", () => open(tab.id.slice(4)));
    tab.addEventListener("keydown", ({ key }) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[key];
      if (!by) return;
      const next = tabs[(k + by + tabs.length) % tabs.length];
      next.focus();
      next.click();
    });
  });
  byId("form-write").addEventListener("submit", (event) => {
    event.preventDefault();
    if (!writing) return write();
    stop();
    say(`Stopped. ${summary(reading)}`);
  });
  byId("form-paste").addEventListener("submit", (event) => {
    event.preventDefault();
    read("paste", [alphabet.split(byId("pasted").value)], "");
  });
  byId("by-surprise").addEventListener("click", () => colorBy(null));
  byId("by-cell").addEventListener("click", () => cell === null && colorBy(facts[0]?.cell ?? 0));
  document.addEventListener("keydown", ({ key }) => {
    if (key !== "Escape") return;
    held = false;
    draw();
  });
  addEventListener("beforeprint", () => text.buildAll());
  open("own");
  colorBy(null);
}

/** For tests, and for people who like the console. */
globalThis.charRNN = {
  vocabulary: content.vocabulary,
  network: new Network(model),
  reset() {
    this.network.reset();
  },
  /** Feeds a character; returns the log-probabilities of the next one. */
  step(index) {
    return this.network.step(index).slice();
  },
  /** The text that sample.py prints with these flags; temperature 0 takes the most likely characters. */
  write({ seed = 123, temperature = 1, length = 2000, primetext = "" } = {}) {
    const prime = alphabet.split(primetext), indices = alphabet.indices(prime);
    if (indices.includes(-1)) throw new RangeError("the primetext has characters that the model has never seen");
    const fed = prime.length ? indices : content.opening;
    const drawn = sampled(new Network(model), fed, length, chooser(seed, temperature));
    return alphabet.join([...prime, ...Array.from(drawn, (index) => content.vocabulary[index])]);
  },
};

start();
