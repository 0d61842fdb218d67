// A text as the network reads it: for every character what was expected there, and all cells after it.

const TOP = 5; // most likely characters kept at each position
const CELL_SCALE = 32767; // cells, from -1 to 1, are kept as whole numbers of 16 bits
const LONGEST = 100_000; // characters of a text, for which a browser can have an element each
const MEMORY = 1 << 28; // bytes that the figures of one text may take

class Reading {
  /** Starts as an empty text of up to `wanted` characters. Those that are not added it draws, with `choose`. */
  constructor(model, wanted, choose = null) {
    const network = new Network(model), gates = model.L * model.gates.length * model.H;
    const size = Math.min(wanted, LONGEST, Math.floor(MEMORY / (2 * network.cells.length + 80 * TOP)));
    Object.assign(this, { model, wanted, size, choose, network });
    this.characters = [];
    this.indices = []; // -1 for a character that the model does not know
    this.starts = new Set(); // where another passage begins, read from a zero state
    this.length = 0; // characters read so far
    this.surprises = new Float32Array(size); // in bits; NaN where nothing was expected
    this.expected = []; // the likeliest characters at each position, as [index, probability], the likeliest first
    this.cells = new Int16Array(size * network.cells.length);
    this.low = new Uint32Array(gates); // how often each gate was below 0.1, and above 0.9
    this.high = new Uint32Array(gates);
    this.steps = 0;
  }

  /** Adds a passage, as far as it fits. */
  addPassage(characters, alphabet) {
    const start = this.characters.length, fitting = characters.slice(0, this.size - start);
    if (start && fitting.length) this.starts.add(start);
    for (const character of fitting) this.add(character, alphabet.index(character));
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
    this.expected.push(likeliest(network.logProbs));
    if (index >= 0) {
      network.step(index);
      this.countGates();
    }
    cells.set(network.cells.map((cell) => Math.round(cell * CELL_SCALE)), position * network.cells.length);
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
}

function likeliest(logProbs) {
  const left = logProbs.slice();
  return Array.from({ length: Math.min(TOP, left.length) }, () => {
    const index = mostLikely(left), probability = Math.exp(left[index]);
    left[index] = -Infinity;
    return [index, probability];
  });
}
