// A text as the network reads it: for every character what was expected there, and all cells after it.

const TOP = 5; // most likely characters kept at each position
const CELL_SCALE = 32767; // cells, from -1 to 1, are kept as whole numbers of 16 bits
const LONGEST = 100_000; // characters of a text, for which a browser can have an element each
const MEMORY = 1 << 28; // bytes that the figures of one text may take

class Reading {
  /** Starts as an empty text of up to `size` characters. Those that are not added it draws, with `choose`, if given. */
  constructor(model, size, choose = null) {
    const network = new Network(model), gates = model.L * model.gates.length * model.H;
    Object.assign(this, { model, size, choose, network });
    this.characters = [];
    this.indices = []; // -1 for a character that the model does not know
    this.starts = new Set(); // where passages begin, each read from a zero state
    this.length = 0; // characters read so far
    this.surprises = new Float32Array(size); // in bits; NaN where nothing was expected
    this.top = new Uint32Array(size * TOP); // the most likely characters, the likeliest first, and their probabilities
    this.odds = new Float32Array(size * TOP);
    this.cells = new Int16Array(size * network.cells.length);
    this.low = new Uint32Array(gates); // how often each gate was below 0.1, and above 0.9
    this.high = new Uint32Array(gates);
    this.steps = 0;
  }

  /** How many characters of a text a page can show. */
  static longest({ L, H }) {
    return Math.min(LONGEST, Math.floor(MEMORY / (2 * L * H + 8 * TOP + 4)));
  }

  add(character, index) {
    this.characters.push(character);
    this.indices.push(index);
  }

  /** Reads the next character, drawing it if there is none, and records everything about it. */
  advance() {
    if (this.length === this.characters.length) {
      const drawn = this.choose(this.network.logProbs);
      this.add(this.model.vocabulary[drawn], drawn);
    }
    const position = this.length++, index = this.indices[position], { network, cells } = this;
    if (this.starts.has(position)) network.reset();
    this.surprises[position] = index < 0 || network.isFresh ? NaN : -network.logProbs[index] / Math.LN2;
    const left = network.logProbs.slice();
    for (let k = position * TOP; k < (position + 1) * TOP; k++) {
      this.top[k] = mostLikely(left);
      this.odds[k] = Math.exp(left[this.top[k]]);
      left[this.top[k]] = -Infinity;
    }
    if (index >= 0) {
      network.step(index);
      this.countGates();
    }
    for (let k = 0, to = position * network.cells.length; k < network.cells.length; k++) {
      cells[to + k] = Math.round(network.cells[k] * CELL_SCALE);
    }
  }

  countGates() {
    let at = 0;
    for (const { gates, tanhFrom } of this.network.layers) {
      for (let k = 0; k < gates.length; k++, at++) {
        const gate = k < tanhFrom ? gates[k] : (1 + gates[k]) / 2;
        if (gate < 0.1) this.low[at]++;
        else if (gate > 0.9) this.high[at]++;
      }
    }
    this.steps++;
  }

  /** A cell after a character that has been read, -1 to 1. */
  cell(position, cell) {
    return this.cells[position * this.network.cells.length + cell] / CELL_SCALE;
  }

  /** The most likely characters there: an array of [index, probability]. */
  expected(position) {
    const count = Math.min(TOP, this.model.V), start = position * TOP;
    return Array.from({ length: count }, (_, k) => [this.top[start + k], this.odds[start + k]]);
  }
}
