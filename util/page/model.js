// The network in double precision, one character at a time. The equations are those of model/stepper.py.
// Letters: V characters, L layers of H cells, G gates. A matrix lies row by row in one array, a row for each output.

const GATES = { lstm: ["i", "f", "o", "g"], gru: ["z", "r", "n"], rnn: ["h"] };

/** What never changes: the weights, prepared once for all networks that run with them. */
class Model {
  /** `numbers` holds all parameters one after the other, in the order of model/shapes.py. */
  constructor({ cell, layers, size, vocabulary }, numbers) {
    const V = vocabulary.length, H = size, width = GATES[cell].length * H;
    let position = 0;
    const take = (count) => numbers.subarray(position, position += count);
    Object.assign(this, { cell, V, H, L: layers, layers: [] });
    for (let layer = 0; layer < layers; layer++) {
      const inputs = layer === 0 ? V : H;
      const i2h = take(inputs * width), bias = Float64Array.from(take(width));
      const h2h = take(H * width), more = take(width);
      for (let k = 0; k < width; k++) bias[k] += more[k];
      this.layers.push({
        bias,
        ofCharacter: layer === 0 ? i2h : null, // a character picks its row, (V, G·H)
        ofLayerBelow: layer === 0 ? null : transposed(i2h, inputs, width),
        ofItself: transposed(h2h, H, width),
      });
    }
    this.decoder = Float64Array.from(take(V * H));
    this.decoderBias = Float64Array.from(take(V));
  }
}

/** One run of the model over a text, from a zero state. */
class Network {
  constructor(model) {
    const { V, H, L, cell } = model;
    this.model = model;
    /** What is shown of each cell, (L·H): tanh c of an LSTM, h of the others. */
    this.cells = new Float64Array(L * H);
    this.layers = model.layers.map((weights, l) => new CELLS[cell](weights, this.cells.subarray(l * H, (l + 1) * H)));
    this.logProbs = new Float64Array(V);
    this.reset();
  }

  reset() {
    for (const layer of this.layers) layer.reset();
    this.logProbs.fill(-Math.log(this.model.V)); // before any input all characters are equally likely
  }

  /** Feeds a character; returns the log-probabilities of the next one (V), overwritten by the next call. */
  step(index) {
    const { model, layers, logProbs } = this;
    layers[0].sums.set(model.layers[0].bias);
    layers[0].addCharacter(index);
    layers[0].step();
    for (let l = 1; l < layers.length; l++) {
      layers[l].sums.set(model.layers[l].bias);
      addProduct(layers[l].sums, model.layers[l].ofLayerBelow, layers[l - 1].h);
      layers[l].step();
    }
    logProbs.set(model.decoderBias);
    addProduct(logProbs, model.decoder, layers[layers.length - 1].h);
    let highest = -Infinity, total = 0;
    for (let v = 0; v < logProbs.length; v++) if (logProbs[v] > highest) highest = logProbs[v];
    for (let v = 0; v < logProbs.length; v++) total += Math.exp(logProbs[v] - highest);
    highest += Math.log(total);
    for (let v = 0; v < logProbs.length; v++) logProbs[v] -= highest;
    return logProbs;
  }
}

/** A layer: its output h (H), and its gates (G·H), which hold what comes from below when a step begins. */
class Layer {
  constructor(weights, cells) {
    this.weights = weights;
    this.cells = cells;
    this.tanhFrom = weights.bias.length - cells.length; // the last gate goes through tanh, those before it through σ
    this.sums = this.gates = new Float64Array(weights.bias.length);
    this.h = cells;
  }

  reset() {
    this.h.fill(0);
    this.gates.fill(0);
  }

  addCharacter(index) {
    const { sums, weights: { ofCharacter } } = this, start = index * sums.length;
    for (let k = 0; k < sums.length; k++) sums[k] += ofCharacter[start + k];
  }
}

class LSTM extends Layer {
  constructor(weights, cells) {
    super(weights, cells);
    this.h = new Float64Array(cells.length);
    this.c = new Float64Array(cells.length);
  }

  reset() {
    super.reset();
    this.c.fill(0);
    this.cells.fill(0);
  }

  step() {
    const { gates, c, h, cells } = this, H = h.length;
    addProduct(gates, this.weights.ofItself, h);
    for (let k = 0; k < 3 * H; k++) gates[k] = sigmoid(gates[k]);
    for (let k = 3 * H; k < 4 * H; k++) gates[k] = Math.tanh(gates[k]);
    for (let k = 0; k < H; k++) {
      c[k] = gates[H + k] * c[k] + gates[k] * gates[3 * H + k]; // c' = f c + i g
      cells[k] = Math.tanh(c[k]);
      h[k] = gates[2 * H + k] * cells[k]; // h' = o tanh(c')
    }
  }
}

class GRU extends Layer {
  constructor(weights, cells) {
    super(weights, cells);
    const H = cells.length;
    this.zr = this.gates.subarray(0, 2 * H);
    this.n = this.gates.subarray(2 * H);
    this.ofItselfToZR = weights.ofItself.subarray(0, 2 * H * H);
    this.ofItselfToN = weights.ofItself.subarray(2 * H * H);
    this.rh = new Float64Array(H);
  }

  step() {
    const { zr, n, rh, h } = this, H = h.length;
    addProduct(zr, this.ofItselfToZR, h);
    for (let k = 0; k < 2 * H; k++) zr[k] = sigmoid(zr[k]);
    for (let k = 0; k < H; k++) rh[k] = zr[H + k] * h[k];
    addProduct(n, this.ofItselfToN, rh);
    for (let k = 0; k < H; k++) {
      n[k] = Math.tanh(n[k]);
      h[k] += zr[k] * (n[k] - h[k]); // h' = z n + (1 - z) h
    }
  }
}

class RNN extends Layer {
  step() {
    const { gates, h } = this;
    addProduct(gates, this.weights.ofItself, h);
    for (let k = 0; k < h.length; k++) h[k] = gates[k] = Math.tanh(gates[k]);
  }
}

const CELLS = { lstm: LSTM, gru: GRU, rnn: RNN };

function sigmoid(x) {
  return 1 / (1 + Math.exp(-x));
}

/** Adds W x to y. Four rows of W at a time, so that each x[k] is read once for the four. */
function addProduct(y, W, x) {
  const rows = y.length, n = x.length;
  let j = 0;
  for (; j + 3 < rows; j += 4) {
    const p = j * n, q = p + n, r = q + n, s = r + n;
    let a = 0, b = 0, c = 0, d = 0;
    for (let k = 0; k < n; k++) {
      const xk = x[k];
      a += W[p + k] * xk;
      b += W[q + k] * xk;
      c += W[r + k] * xk;
      d += W[s + k] * xk;
    }
    y[j] += a;
    y[j + 1] += b;
    y[j + 2] += c;
    y[j + 3] += d;
  }
  for (; j < rows; j++) {
    let sum = 0;
    for (let k = 0; k < n; k++) sum += W[j * n + k] * x[k];
    y[j] += sum;
  }
}

/** The transpose of a matrix (rows, columns), in double precision. */
function transposed(matrix, rows, columns) {
  const result = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) result[j * rows + i] = matrix[i * columns + j];
  return result;
}

/** Decodes little-endian numbers of type float16, float32 or float64 from base64 text. */
function decodedNumbers(base64, type) {
  const PIECE = 1 << 16; // a multiple of four characters, which are three bytes
  const bytes = new Uint8Array(base64.length / 4 * 3 - (base64.match(/=*$/)[0].length));
  for (let start = 0, at = 0; start < base64.length; start += PIECE) {
    const binary = atob(base64.slice(start, start + PIECE));
    for (let k = 0; k < binary.length; k++) bytes[at++] = binary.charCodeAt(k);
  }
  if (type === "float64") return new Float64Array(bytes.buffer);
  if (type === "float32") return new Float32Array(bytes.buffer);
  return Float32Array.from(new Uint16Array(bytes.buffer), halfPrecision);
}

/** The number with these 16 bits: a sign, 5 bits of exponent, 10 of fraction; finite. */
function halfPrecision(bits) {
  const exponent = (bits >> 10) & 31, fraction = bits & 1023;
  const size = exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024);
  return bits & 0x8000 ? -size : size;
}
