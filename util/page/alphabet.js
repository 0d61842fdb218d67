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

  /** A character's index; -1 if the model does not know it. */
  index(character) {
    return this.indexOf.get(character) ?? -1;
  }

  /** Whether a character may belong to the one before it: as a byte of UTF-8 that is not the first. */
  continues(character) {
    return this.bytes && character >= "\x80" && character < "\xc0";
  }

  /** How each of an array of characters looks in the text: {text, mark, kind}. `text` is what is copied from the page;
   * `mark` is shown before it or, of the kind "unseen", instead of it. Of the bytes of one character the first shows
   * it, and the others a dot. */
  looks(characters) {
    return this.bytes ? looksOfBytes(characters) : characters.map(lookOf);
  }

  /** A short name of one character, for a label. */
  name(character) {
    if (character === " ") return "␣";
    if (this.bytes && character > "\x7f") return hexadecimal(character, 2);
    const { text, mark } = lookOf(character);
    return mark || (/^\p{M}/u.test(text) ? "◌" + text : text);
  }
}

const MARKS = { "\n": "↵", "\t": "→", "\r": "␍", "\x7f": "␡" };
// Controls, lone surrogates, unassigned and private ones, separators, and all without width: soft hyphens, joiners, and
// those that change the direction of what follows.
const UNSEEN = /^[\p{C}\u2028\u2029\u00a0\u034f\u115f\u1160\u17b4\u17b5\u2000-\u200a\u3164\ufe00-\ufe0f\uffa0]$/u;
const UTF8 = /[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}|[^]/g;

const hexadecimal = (character, digits) => character.codePointAt(0).toString(16).toUpperCase().padStart(digits, "0");
const bytesOf = (characters) => Uint8Array.from(characters, (byte) => byte.charCodeAt(0));
const decoded = (bytes) => new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytesOf(bytes));

function lookOf(character) {
  if (character === "\n" || character === "\t") return { text: character, mark: MARKS[character], kind: "" };
  if (!UNSEEN.test(character)) return { text: character, mark: "", kind: "" };
  const code = character.codePointAt(0);
  const mark = MARKS[character] || (code < 32 ? String.fromCodePoint(0x2400 + code) : hexadecimal(character, 4));
  return { text: "", mark, kind: "unseen" };
}

/** The bytes of characters in UTF-8: the first byte of each shows it, as does each byte that belongs to none. */
function looksOfBytes(bytes) {
  return bytes.join("").match(UTF8).flatMap((sequence) => {
    const character = decoded(sequence);
    if (character.includes("\ufffd") && sequence !== "\xef\xbf\xbd") {
      return Array.from(sequence, (byte) => ({ text: "", mark: hexadecimal(byte, 2), kind: "unseen" }));
    }
    return [lookOf(character), ...Array(sequence.length - 1).fill({ text: "", mark: "·", kind: "" })];
  });
}
