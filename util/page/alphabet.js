// The model's characters: their indices, and how each is shown. A byte model's are the characters 0 to 255.

class Alphabet {
  /** `vocabulary` is an array of characters, each a string of one code point. */
  constructor(vocabulary, bytes) {
    this.vocabulary = vocabulary;
    this.bytes = bytes;
    this.indexOf = new Map(vocabulary.map((character, index) => [character, index]));
  }

  /** A typed text as an array of the model's characters, known to it or not. */
  split(text) {
    if (!this.bytes) return Array.from(text);
    return Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte));
  }

  /** The reverse; bytes that are not UTF-8 become replacement characters. */
  join(characters) {
    if (!this.bytes) return characters.join("");
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(
      Uint8Array.from(characters, (character) => character.charCodeAt(0)));
  }

  /** Indices of an array of characters; -1 for those that the model does not know. */
  indices(characters) {
    return characters.map((character) => this.indexOf.get(character) ?? -1);
  }

  /** How to show each of an array of characters in the text: {text, mark, kind}.
   *
   * `text` is what is copied from the page. `mark` is shown instead of it, or before it if it has a shape that
   * cannot be seen. The first of the bytes of one character shows it; the others have the kind "rest".
   */
  shown(characters) {
    return this.bytes ? shownBytes(characters) : characters.map(shownCharacter);
  }

  /** A short name of one character, for a label. */
  name(character) {
    if (character === " ") return "␣";
    if (this.bytes && character > "\x7f") return hexadecimal(character, 2);
    const { text, mark } = shownCharacter(character);
    return mark || (/^\p{M}/u.test(text) ? "◌" + text : text);
  }
}

const MARKS = { "\n": "↵", "\t": "→", "\r": "␍", "\x7f": "␡" };
// Controls, lone surrogates, unassigned and private ones, separators, and all without width: soft hyphens, joiners, and
// those that change the direction of what follows.
const UNSEEN = /^[\p{C}\u2028\u2029\u00a0\u034f\u115f\u1160\u17b4\u17b5\u2000-\u200a\u3164\ufe00-\ufe0f\uffa0]$/u;

function shownCharacter(character) {
  if (character === "\n") return { text: "\n", mark: "↵", kind: "line end" };
  if (character === "\t") return { text: "\t", mark: "→", kind: "tab" };
  if (!UNSEEN.test(character)) return { text: character, mark: "", kind: "" };
  const code = character.codePointAt(0);
  const mark = MARKS[character] || (code < 32 ? String.fromCodePoint(0x2400 + code) : hexadecimal(character, 4));
  return { text: "", mark, kind: "unseen" };
}

/** The bytes of characters in UTF-8: the first byte of each shows it, as does each byte that belongs to none. */
function shownBytes(characters) {
  const result = [];
  for (let start = 0; start < characters.length;) {
    const lead = characters[start].charCodeAt(0);
    const count = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    const bytes = Uint8Array.from(characters.slice(start, start + count), (byte) => byte.charCodeAt(0));
    const decoded = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
    if (Array.from(decoded).length === 1 && decoded !== "\ufffd") {
      result.push(shownCharacter(decoded));
      for (let n = 1; n < count; n++) result.push({ text: "", mark: "", kind: "rest" });
      start += count;
    } else {
      result.push({ text: "", mark: hexadecimal(characters[start], 2), kind: "unseen" });
      start++;
    }
  }
  return result;
}

function hexadecimal(character, digits) {
  return character.codePointAt(0).toString(16).toUpperCase().padStart(digits, "0");
}
