// The network in double precision, one character at a time. The equations are those of model/cells.py.
// Letters: V characters, L layers of H cells, G gates. A matrix lies row by row in one array, a row for each output.

/** What never changes: the weights, which all networks share. */
class Model {
  /** `numbers` holds all parameters one after the other, in the order of model/shapes.py. */
  constructor({ cell, gates, layers, size, vocabulary, opening }, numbers) {
    const V = vocabulary.length, H = size, width = gates.length * H;
    let position = 0;
    const take = (count) => numbers.subarray(position, position += count);
    Object.assign(this, { cell, gates, vocabulary, opening, V, H, L: layers });
    this.layers = Array.from({ length: layers }, (_, layer) => {
      const i2h = take((layer ? H : V) * width), bias = take(width), h2h = take(H * width);
      take(width).forEach((more, k) => { bias[k] += more; });
      return { i2h, bias, h2h };
    });
    const decoder = take(V * H); // the only one with a row for each output; the others have one for each input
    this.decoder = decoder.map((_, k) => decoder[(k % V) * H + Math.floor(k / V)]);
    this.decoderBias = take(V);
  }
}

/** One run of the model over a text, from a zero state. */
class Network {
  constructor(model) {
    const { V, H, L, cell } = model;
    this.model = model;
    /** What is shown of each cell, (L·H): tanh c of an LSTM, h of the others. */
    this.cells = new Float64Array(L * H);
    this.layers = model.layers.map((weights, l) => new Layer(cell, weights, this.cells.subarray(l * H, (l + 1) * H)));
    this.logProbs = new Float64Array(V);
    this.reset();
  }

  reset() {
    for (const { h, c, cells } of this.layers) for (const array of [h, c, cells]) array.fill(0);
    this.logProbs.fill(-Math.log(this.model.V)); // before any input all characters are equally likely
    this.isFresh = true;
  }

  /** Goes to where a text begins, if the model knows that: between two documents. */
  begin() {
    const { opening } = this.model;
    if (!opening) return;
    opening.states.forEach((states, l) => {
      this.layers[l].c.set(states[0]);
      this.layers[l].h.set(states.at(-1));
    });
    this.logProbs.set(opening.log_probs);
    this.isFresh = false;
  }

  /** Feeds a character; returns the log-probabilities of the next one (V), overwritten by the next call. */
  step(index) {
    const { model, layers, logProbs } = this;
    this.isFresh = false;
    let below = null;
    for (const layer of layers) {
      const { gates, weights: { i2h, bias } } = layer;
      gates.set(bias);
      if (below) addProduct(gates, i2h, below);
      else for (let k = 0, row = index * gates.length; k < gates.length; k++) gates[k] += i2h[row + k];
      STEPS[model.cell](layer);
      below = layer.h;
    }
    logProbs.set(model.decoderBias);
    addProduct(logProbs, model.decoder, below);
    const highest = highestOf(logProbs), total = highest + Math.log(sumOf(logProbs.map((x) => Math.exp(x - highest))));
    for (let v = 0; v < logProbs.length; v++) logProbs[v] -= total;
    return logProbs;
  }
}

/** A layer: its state c and output h (H), and its gates (G·H), which hold what comes from below when a step begins. */
class Layer {
  constructor(cell, weights, cells) {
    Object.assign(this, { weights, cells, h: cells, c: cells });
    if (cell === "lstm") Object.assign(this, { h: cells.slice(), c: cells.slice() });
    this.gates = new Float64Array(weights.bias.length);
    this.tanhFrom = weights.bias.length - cells.length; // the last gate goes through tanh, those before it through σ
  }
}

const STEPS = {
  lstm({ gates, c, h, cells, weights }) {
    const H = h.length;
    addProduct(gates, weights.h2h, h);
    for (let k = 0; k < 3 * H; k++) gates[k] = sigmoid(gates[k]);
    for (let k = 3 * H; k < 4 * H; k++) gates[k] = Math.tanh(gates[k]);
    for (let k = 0; k < H; k++) {
      c[k] = gates[H + k] * c[k] + gates[k] * gates[3 * H + k]; // c' = f c + i g
      cells[k] = Math.tanh(c[k]);
      h[k] = gates[2 * H + k] * cells[k]; // h' = o tanh(c')
    }
  },

  gru({ gates, h, weights: { h2h } }) {
    const H = h.length, zr = gates.subarray(0, 2 * H), n = gates.subarray(2 * H);
    addProduct(zr, h2h, h, 3 * H);
    for (let k = 0; k < 2 * H; k++) zr[k] = sigmoid(zr[k]);
    addProduct(n, h2h.subarray(2 * H), h.map((value, k) => zr[H + k] * value), 3 * H); // of r h
    for (let k = 0; k < H; k++) {
      n[k] = Math.tanh(n[k]);
      h[k] += zr[k] * (n[k] - h[k]); // h' = z n + (1 - z) h
    }
  },

  rnn({ gates, h, weights }) {
    addProduct(gates, weights.h2h, h);
    for (let k = 0; k < h.length; k++) h[k] = gates[k] = Math.tanh(gates[k]);
  },
};

const sigmoid = (x) => 1 / (1 + Math.exp(-x));

/** Adds x W to y. The rows of W, one for each of x, lie `apart`; four of them at a time, so that y is read once. */
function addProduct(y, W, x, apart = y.length) {
  let k = 0;
  for (; k + 3 < x.length; k += 4) {
    const a = x[k], b = x[k + 1], c = x[k + 2], d = x[k + 3];
    const p = k * apart, q = p + apart, r = q + apart, s = r + apart;
    for (let j = 0; j < y.length; j++) y[j] += a * W[p + j] + b * W[q + j] + c * W[r + j] + d * W[s + j];
  }
  for (; k < x.length; k++) for (let j = 0; j < y.length; j++) y[j] += x[k] * W[k * apart + j];
}

/** Decodes little-endian numbers of type float16, float32 or float64 from base64 text. */
function decodedNumbers(base64, type) {
  const binary = atob(base64), bytes = new Uint8Array(binary.length);
  for (let k = 0; k < bytes.length; k++) bytes[k] = binary.charCodeAt(k);
  if (type === "float16") return Float64Array.from(new Uint16Array(bytes.buffer), halfPrecision);
  return Float64Array.from(new (type === "float32" ? Float32Array : Float64Array)(bytes.buffer));
}

/** The number with these 16 bits: a sign, 5 bits of exponent, 10 of fraction; finite. */
function halfPrecision(bits) {
  const exponent = (bits >> 10) & 31, fraction = bits & 1023;
  const size = exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024);
  return bits & 0x8000 ? -size : size;
}
