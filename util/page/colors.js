// Two scales of color, even to the eye because they run through OKLab (Ottosson, 2020): surprise from the paper over
// yellow to plum, and a cell from blue (-1) over the paper to orange (+1), which people with any color vision can tell
// apart. Each has a light and a dark form, and is a class in the page's style sheet: s0, s1, ... and d0, d1, ...

const SHADES = 40; // of surprise, and of cells on either side of 0

const SCALES = { // lightness, chroma, hue in degrees
  light: {
    ink: "#1c1b1a",
    paper: "#fff",
    surprise: [[1, 0, 95], [0.95, 0.09, 98], [0.86, 0.135, 80], [0.74, 0.155, 55], [0.6, 0.18, 25], [0.42, 0.15, 0]],
    low: [[1, 0, 250], [0.83, 0.075, 245], [0.66, 0.13, 250]],
    high: [[1, 0, 60], [0.85, 0.11, 68], [0.72, 0.165, 55]],
  },
  dark: {
    ink: "#ece8e1",
    paper: "#171615",
    surprise: [[0.2, 0, 300], [0.33, 0.09, 300], [0.45, 0.15, 345], [0.6, 0.175, 20], [0.77, 0.15, 62],
      [0.93, 0.11, 98]],
    low: [[0.2, 0, 250], [0.4, 0.09, 252], [0.6, 0.145, 248]],
    high: [[0.2, 0, 60], [0.4, 0.085, 55], [0.61, 0.145, 52]],
  },
};

/** How many bits of surprise get the last shade; with thousands of characters it is more. */
function mostBits(V) {
  return V < 500 ? 8 : 16;
}

/** The class of a character with a surprise in bits, on a scale up to `most`. */
function surpriseClass(bits, most) {
  return "s" + Math.round(Math.min(1, bits / most) * SHADES);
}

/** The class of a cell with this value, -1 to 1. */
function cellClass(value) {
  return "d" + Math.round((1 + Math.max(-1, Math.min(1, value))) * SHADES);
}

/** The rules for all classes, and for the legends .legend.surprise and .legend.cell. */
function colorRules() {
  const { light, dark } = SCALES;
  return [
    ...rules(light),
    `@media screen and (prefers-color-scheme: dark) { ${rules(dark).join("\n")} }`,
  ];
}

function rules({ ink, paper, surprise, low, high }) {
  const shades = Array.from({ length: SHADES + 1 }, (_, k) => between(surprise, k / SHADES));
  const cell = (value) => between(value < 0 ? low : high, Math.abs(value));
  const cells = Array.from({ length: 2 * SHADES + 1 }, (_, k) => cell(k / SHADES - 1));
  const rule = (name) => (lab, k) => `.${name}${k} { background: ${hex(lab)}; color: ${lighter(lab, ink, paper)}; }`;
  const strip = (labs) => `linear-gradient(to right, ${labs.filter((_, k) => k % 4 === 0).map(hex).join(", ")})`;
  return [
    ...shades.map(rule("s")), ...cells.map(rule("d")),
    `.legend.surprise { background-image: ${strip(shades)}; }`, `.legend.cell { background-image: ${strip(cells)}; }`,
  ];
}

/** The color part of the way along the stops, as OKLab [L, a, b]. */
function between(stops, share) {
  const place = share * (stops.length - 1), k = Math.min(Math.floor(place), stops.length - 2);
  const [from, to] = [stops[k], stops[k + 1]].map(([L, C, h]) => {
    const angle = h * Math.PI / 180;
    return [L, C * Math.cos(angle), C * Math.sin(angle)];
  });
  return from.map((value, n) => value + (to[n] - value) * (place - k));
}

/** Ink or paper, whichever is readable on a color. */
function lighter([L], ink, paper) {
  const darkInk = ink < paper;
  return (L > 0.62) === darkInk ? ink : paper;
}

/** An OKLab color as #rrggbb, each part clipped to what a screen can show. */
function hex([L, a, b]) {
  const [l, m, s] = [
    L + 0.3963377774 * a + 0.2158037573 * b,
    L - 0.1055613458 * a - 0.0638541728 * b,
    L - 0.0894841775 * a - 1.291485548 * b,
  ].map((root) => root ** 3);
  const linear = [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ];
  return "#" + linear.map((value) => {
    const light = Math.max(0, Math.min(1, value));
    const curved = light <= 0.0031308 ? 12.92 * light : 1.055 * light ** (1 / 2.4) - 0.055;
    return Math.round(curved * 255).toString(16).padStart(2, "0");
  }).join("");
}
