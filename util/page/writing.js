// Writes a text, drawing each character as sample.py does. See util/sampling/drawing.py.

/** `length` indices that follow the indices `prime`; each is fed to the network when the next one is requested. */
function* sampled(network, prime, length, choose) {
  network.reset();
  for (const index of prime) network.step(index);
  for (let n = 0; n < length; n++) {
    const index = choose(network.logProbs);
    yield index;
    network.step(index);
  }
}

/** Returns what chooses an index from log-probabilities: a draw, or the most likely one at temperature 0. */
function chooser(seed, temperature) {
  if (temperature === 0) return mostLikely;
  const random = new Random(seed);
  let room = null;
  return (logProbs) => {
    room ||= new Float64Array(logProbs.length);
    probabilities(logProbs, temperature, room);
    return firstReaching(random.next() / 2 ** 32, room);
  };
}

/** The first of them on a tie. */
function mostLikely(logProbs) {
  let best = 0;
  for (let v = 1; v < logProbs.length; v++) if (logProbs[v] > logProbs[best]) best = v;
  return best;
}

/** exp(logProbs / temperature), normalized, in single precision as Torch7 has them. */
function probabilities(logProbs, temperature, result) {
  let highest = 0, total = 0;
  for (let pass = 0; pass < 2 && total === 0; pass++) {
    // So cold that everything underflows: start over relative to the most likely character.
    if (pass) highest = logProbs[mostLikely(logProbs)];
    for (let v = 0; v < logProbs.length; v++) total += result[v] = Math.exp((logProbs[v] - highest) / temperature);
  }
  for (let v = 0; v < logProbs.length; v++) result[v] = Math.fround(result[v] / total);
}

/** The first index whose cumulative share is at least `share`. */
function firstReaching(share, weights) {
  let total = 0, sum = 0, index = 0;
  for (let v = 0; v < weights.length; v++) total += weights[v];
  for (; index < weights.length - 1; index++) if ((sum += weights[index]) / total >= share) break;
  return index;
}
