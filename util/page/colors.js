// The colors of surprise and of cells: shades between those in page.css, each a class: s0, s1, ... and d0, d1, ...

const SHADES = 40; // of surprise, and of cells on either side of 0
const SURPRISE = ["paper", "surprise-1", "surprise-2", "surprise-3", "surprise-4", "surprise-5"];
const CELL = ["low-2", "low-1", "paper", "high-1", "high-2"];
const PAPER_FROM = { light: 31, dark: 25 }; // the shades of surprise on which paper is easier to read than ink

/** How many bits of surprise get the last shade; with thousands of characters it is more. */
const mostBits = (V) => (V < 500 ? 8 : 16);

/** The class of a character with a surprise in bits (or NaN), on a scale up to `most`. */
const surpriseClass = (bits, most) => (isNaN(bits) ? "first" : "s" + Math.round(Math.min(1, bits / most) * SHADES));

/** The class of a cell with this value, -1 to 1. */
const cellClass = (value) => "d" + Math.round((1 + Math.max(-1, Math.min(1, value))) * SHADES);

/** The rules for all classes, and for the legends. */
function colorRules() {
  const readable = (k, scheme) => `var(--${k < PAPER_FROM[scheme] ? "ink" : "paper"})`;
  const surprises = Array.from({ length: SHADES + 1 }, (_, k) => `.s${k} { background: ${between(SURPRISE, k / SHADES)};
    color: light-dark(${readable(k, "light")}, ${readable(k, "dark")}); }`);
  const cells = Array.from({ length: 2 * SHADES + 1 }, (_, k) => `.d${k} { background: ${between(CELL, k / 2 / SHADES)}; }`);
  const legend = (name, scale) => `#${name}-legend::before { background:
    linear-gradient(in oklab to right, ${scale.map((color) => `var(--${color})`)}); }`;
  return [...surprises, ...cells, legend("surprise", SURPRISE), legend("cell", CELL)];
}

/** The color part of the way along a scale, even to the eye. */
function between(scale, share) {
  const at = share * (scale.length - 1), k = Math.min(Math.floor(at), scale.length - 2);
  return `color-mix(in oklab, var(--${scale[k + 1]}) ${100 * (at - k)}%, var(--${scale[k]}))`;
}
