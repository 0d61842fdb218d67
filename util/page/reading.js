// A text as the network reads it: for every character what was expected there, and all cells after it.

const TOP = 5; // most likely characters kept at each place
const PIECE = 1024; // characters whose figures share arrays
const CELL_SCALE = 32767; // cells, from -1 to 1, are kept as whole numbers of 16 bits
const MEMORY = 1 << 28; // bytes that the figures of one text may take

class Reading {
  /** Starts as an empty text. */
  constructor(model) {
    this.model = model;
    this.status = ""; // what the page says about it
    this.network = new Network(model);
    this.characters = [];
    this.indices = [];
    /** Where passages begin, each read from a zero state. */
    this.starts = new Set();
    this.length = 0; // characters read so far
    this.bits = 0; // their surprise, of all that the network was asked to predict
    this.predicted = 0;
    this.pieces = [];
    const gates = model.L * GATES[model.cell].length * model.H;
    this.low = new Uint32Array(gates); // how often each gate was below 0.1, and above 0.9
    this.high = new Uint32Array(gates);
    this.steps = 0;
  }

  /** How many characters a text may have for its figures to fit into memory. */
  static limit(model) {
    return Math.floor(MEMORY / (2 * model.L * model.H + 8 * TOP + 4));
  }

  /** Appends a passage of characters, with their indices, to what is to be read. */
  addPassage(characters, indices) {
    this.starts.add(this.characters.length);
    for (let k = 0; k < characters.length; k++) this.add(characters[k], indices[k]);
  }

  add(character, index) {
    this.characters.push(character);
    this.indices.push(index);
  }

  /** Reads the next character, and records everything about it. */
  advance() {
    const position = this.length++, index = this.indices[position], { network } = this;
    const first = this.starts.has(position), at = position % PIECE;
    if (first) network.reset();
    if (at === 0) this.pieces.push(newPiece(network.cells.length));
    const { surprise, top, odds, cells } = this.pieces[this.pieces.length - 1];
    surprise[at] = index < 0 ? NaN : -network.logProbs[index] / Math.LN2;
    keepTop(network.logProbs, top, odds, at * TOP);
    if (index >= 0) {
      if (!first) {
        this.bits += surprise[at];
        this.predicted++;
      }
      network.step(index);
      this.countGates();
    }
    for (let k = 0, to = at * network.cells.length; k < network.cells.length; k++) {
      cells[to + k] = Math.round(network.cells[k] * CELL_SCALE);
    }
  }

  countGates() {
    const { low, high, network: { layers } } = this;
    let at = 0;
    for (const { gates, tanhFrom } of layers) {
      for (let k = 0; k < gates.length; k++, at++) {
        const gate = k < tanhFrom ? gates[k] : (1 + gates[k]) / 2;
        if (gate < 0.1) low[at]++;
        else if (gate > 0.9) high[at]++;
      }
    }
    this.steps++;
  }

  /** The surprise in bits at a character that has been read; NaN at one that the network does not know. */
  surprise(position) {
    return this.pieces[Math.floor(position / PIECE)].surprise[position % PIECE];
  }

  /** A cell after that character, -1 to 1. */
  cell(position, cell) {
    const { cells } = this.pieces[Math.floor(position / PIECE)];
    return cells[(position % PIECE) * this.network.cells.length + cell] / CELL_SCALE;
  }

  /** The most likely characters there: an array of [index, probability]. */
  expected(position) {
    const { top, odds } = this.pieces[Math.floor(position / PIECE)], start = (position % PIECE) * TOP;
    const count = Math.min(TOP, this.model.V);
    return Array.from({ length: count }, (_, k) => [top[start + k], odds[start + k]]);
  }
}

function newPiece(cells) {
  return {
    surprise: new Float32Array(PIECE),
    top: new Uint32Array(PIECE * TOP),
    odds: new Float32Array(PIECE * TOP),
    cells: new Int16Array(PIECE * cells),
  };
}

/** Puts the indices of the highest log-probabilities, the highest first, and their probabilities from `start` on. */
function keepTop(logProbs, top, odds, start) {
  const end = start + TOP;
  odds.fill(-Infinity, start, end);
  for (let v = 0; v < logProbs.length; v++) {
    if (!(logProbs[v] > odds[end - 1])) continue;
    let k = end - 1;
    for (; k > start && logProbs[v] > odds[k - 1]; k--) {
      odds[k] = odds[k - 1];
      top[k] = top[k - 1];
    }
    odds[k] = logProbs[v];
    top[k] = v;
  }
  for (let k = start; k < end; k++) odds[k] = Math.exp(odds[k]);
}
