// Draws the characters of a text as sample.py does. See util/sampling/drawing.py.

const sumOf = (numbers) => numbers.reduce((sum, number) => sum + number, 0);
const highestOf = (numbers) => numbers.reduce((highest, number) => Math.max(highest, number), -Infinity);
const mostLikely = (logProbs) => logProbs.indexOf(highestOf(logProbs)); // the first of them on a tie

/** Returns what chooses an index from log-probabilities: a draw, or the most likely one at temperature 0. */
function chooser(seed, temperature) {
  if (temperature === 0) return mostLikely;
  const next = randomNumbers(seed);
  return (logProbs) => firstReaching(next() / 2 ** 32, probabilities(logProbs, temperature));
}

/** exp(logProbs / temperature), normalized, in single precision as Torch7 has them. */
function probabilities(logProbs, temperature) {
  const relativeTo = (zero) => logProbs.map((logProb) => Math.exp((logProb - zero) / temperature));
  let weights = relativeTo(0);
  if (sumOf(weights) === 0) weights = relativeTo(highestOf(logProbs)); // so cold that everything underflows
  const total = sumOf(weights);
  return weights.map((weight) => Math.fround(weight / total));
}

/** The first index whose cumulative share is at least `share`. */
function firstReaching(share, weights) {
  const total = sumOf(weights);
  let sum = 0;
  const index = weights.findIndex((weight) => (sum += weight) / total >= share);
  return index < 0 ? weights.length - 1 : index;
}
