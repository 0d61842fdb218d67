// The text on the page: every character colored, one of them under the cursor.
//
// A text may have hundreds of thousands of characters, and a browser cannot cope with that many elements. So it is cut
// into blocks, which are plain text while they are out of sight, and an element per character near the window.

const BLOCK = 500; // characters of a block, up to the next line end
const LONGEST_BLOCK = 2000; // if there is none

class TextView {
  /** Shows readings in the element `pane`; calls `moved(position, how)`, how: "hover", "click" or "key". */
  constructor(pane, alphabet, moved) {
    Object.assign(this, { pane, alphabet, moved, blocks: [], position: -1, cell: null });
    this.observer = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        const block = this.blocks[entry.target.dataset.block];
        if (block?.element === entry.target) this.setBuilt(block, entry.isIntersecting);
      }
    }, { root: pane, rootMargin: "400px" });
    pane.addEventListener("mousemove", (event) => this.pointed(event, "hover"));
    pane.addEventListener("click", (event) => this.pointed(event, "click"));
    pane.addEventListener("keydown", (event) => this.pressed(event));
  }

  /** Starts to show another reading. */
  show(reading) {
    this.observer.disconnect();
    this.pane.replaceChildren();
    this.pane.scrollTop = 0;
    Object.assign(this, { reading, blocks: [], position: -1 });
    this.grow();
  }

  /** How many characters it shows. */
  get length() {
    return this.blocks.length ? this.blocks[this.blocks.length - 1].end : 0;
  }

  /** Adds the characters that the reading has gained. */
  grow() {
    const { characters, starts } = this.reading;
    let block = this.blocks[this.blocks.length - 1];
    const changed = new Set();
    for (let at = this.length; at < characters.length; at++) {
      if (!block || this.isFull(block) || starts.has(at)) block = this.newBlock(at);
      block.end = at + 1;
      changed.add(block);
    }
    for (const one of changed) this.fill(one);
  }

  isFull({ start, end }) {
    const { characters } = this.reading;
    if (end - start < BLOCK) return false;
    if (characters[end - 1] === "\n") return true;
    const middle = this.alphabet.bytes && /[\x80-\xbf]/.test(characters[end] || "");
    return end - start >= LONGEST_BLOCK && !middle;
  }

  newBlock(start) {
    const element = document.createElement("div");
    element.dataset.block = this.blocks.length;
    if (start && this.reading.starts.has(start)) element.dataset.passage = "the network begins afresh";
    const block = { element, start, end: start, built: this.blocks.length === 0 };
    this.blocks.push(block);
    this.pane.append(element);
    this.observer.observe(element);
    return block;
  }

  setBuilt(block, built) {
    if (block.built === built) return;
    block.built = built;
    this.fill(block);
  }

  /** Writes a block's characters into its element. */
  fill(block) {
    const shown = this.alphabet.shown(this.reading.characters.slice(block.start, block.end));
    if (!block.built) {
      block.element.textContent = shown.map(({ text }) => text).join("");
      return;
    }
    block.element.replaceChildren(...shown.map(({ text, mark, kind }) => {
      const span = document.createElement("span");
      span.textContent = text;
      if (mark) span.dataset.mark = mark;
      if (kind) span.dataset.kind = kind;
      return span;
    }));
    this.color(block);
    if (block.start <= this.position && this.position < block.end) this.mark(true);
  }

  /** Colors what is visible from a position on, by surprise or by a cell (if not null). */
  recolor(cell, from = 0) {
    this.cell = cell;
    for (const block of this.blocks) if (block.built && block.end > from) this.color(block);
  }

  color({ element, start }) {
    const { reading, cell } = this, most = mostBits(reading.model.V);
    let at = start;
    for (const span of element.children) {
      if (reading.indices[at] < 0) span.className = "unknown";
      else if (at >= reading.length) span.className = "unread";
      else if (cell !== null) span.className = cellClass(reading.cell(at, cell));
      else span.className = reading.starts.has(at) ? "first" : surpriseClass(reading.surprise(at), most);
      at++;
    }
  }

  /** Builds everything, for a printer. */
  buildAll() {
    for (const block of this.blocks) this.setBuilt(block, true);
  }

  /** Puts the cursor on a character, and scrolls to it if wanted. */
  moveTo(position, intoSight) {
    if (this.position >= 0) this.mark(false);
    this.position = position;
    if (position >= 0) this.mark(true, intoSight);
  }

  mark(on, intoSight) {
    const span = this.span(this.position);
    span.toggleAttribute("data-cursor", on);
    if (intoSight) span.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  /** The element of a character. */
  span(position) {
    let low = 0, high = this.blocks.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.blocks[middle].end > position) high = middle;
      else low = middle + 1;
    }
    const block = this.blocks[low];
    this.setBuilt(block, true);
    return block.element.children[position - block.start];
  }

  pointed(event, how) {
    const span = event.target.closest("span"), block = span && this.blocks[span.parentNode.dataset.block];
    if (block) this.moved(block.start + Array.prototype.indexOf.call(block.element.children, span), how);
  }

  pressed(event) {
    const last = this.reading.length - 1, here = Math.max(0, this.position);
    if (last < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    const to = {
      ArrowLeft: () => this.position - 1, ArrowRight: () => this.position + 1, Home: () => 0, End: () => last,
      ArrowUp: () => this.onNextLine(here, -1), ArrowDown: () => this.onNextLine(here, 1),
    }[event.key];
    if (!to) return;
    event.preventDefault();
    this.moved(Math.max(0, Math.min(last, to())), "key");
  }

  /** The character above (-1) or below (1) another one, or that one if there is none. */
  onNextLine(position, direction) {
    const box = (at) => this.span(at).getClientRects()[0], here = box(position);
    let best = position, least = Infinity, line = null;
    for (let at = position + direction; at >= 0 && at < this.reading.length; at += direction) {
      const there = box(at);
      if (!there || direction * (there.top - here.top) < here.height / 2) continue; // still the same line
      line ??= there.top;
      if (Math.abs(there.top - line) > here.height / 2) break;
      const away = Math.abs(there.left - here.left);
      if (away < least) [best, least] = [at, away];
    }
    return best;
  }
}
