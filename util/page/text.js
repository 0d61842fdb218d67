// The text on the page: an element for every character, colored, one of them under the cursor. They lie in blocks, of
// which a browser lays out only those near the window; see page.css.

const BLOCK = 500; // characters of a block, up to the next line end
const LONGEST_BLOCK = 2000; // if there is none

class TextView {
  /** Writes readings into the element `pane`; calls `moved(position, how)`, how: "mouseover", "click" or "key". */
  constructor(pane, alphabet, moved) {
    Object.assign(this, { pane, alphabet, moved, cell: null });
    for (const how of ["mouseover", "click"]) {
      pane.addEventListener(how, ({ target }) => target.matches("#text span") && moved(target.position, how));
    }
    pane.addEventListener("keydown", (event) => this.pressed(event));
  }

  /** Begins another reading. */
  start(reading) {
    this.pane.replaceChildren();
    this.pane.scrollTop = 0;
    Object.assign(this, { reading, spans: [], position: -1 });
    this.grow();
  }

  /** Adds what the reading has gained, and colors what it has read from a position on. A visible end stays visible. */
  grow(colorFrom = 0) {
    const { alphabet, pane, spans, reading: { characters, starts } } = this;
    if (spans.length < characters.length) {
      const atEnd = spans.length && pane.scrollTop + pane.clientHeight > pane.scrollHeight - 40;
      let from = spans.length; // or before it: the last bytes may be the beginning of a longer character
      while (from > 0 && !starts.has(from) && alphabet.continues(characters[from])) from--;
      for (let end; from < characters.length; from = end) {
        for (end = from + 1; end < characters.length && !starts.has(end);) end++;
        alphabet.looks(characters.slice(from, end)).forEach(({ text, mark, kind }, k) => {
          const span = spans[from + k] ??= this.newSpan(from + k);
          span.textContent = text;
          Object.assign(span.dataset, { mark, kind });
        });
      }
      if (atEnd) pane.scrollTop = pane.scrollHeight;
    }
    this.recolor(this.cell, colorFrom);
  }

  newSpan(position) {
    const { alphabet, pane, reading: { characters, starts, indices } } = this;
    const length = pane.lastChild?.childElementCount;
    const ended = length >= BLOCK && characters[position - 1] === "\n";
    const full = length >= LONGEST_BLOCK && !alphabet.continues(characters[position]);
    if (position === 0 || starts.has(position) || ended || full) {
      pane.append(make("div", starts.has(position) ? { "data-passage": "the network begins afresh" } : {}));
    }
    const span = make("span", { class: indices[position] < 0 ? "unknown" : "unread" });
    span.position = position;
    pane.lastChild.append(span);
    return span;
  }

  /** Colors what has been read from a position on, by surprise or by a cell (if not null). */
  recolor(cell, from = 0) {
    this.cell = cell;
    const { reading, spans } = this, most = mostBits(reading.model.V);
    for (let at = from; at < reading.length; at++) {
      if (reading.indices[at] < 0) continue;
      if (cell === null) spans[at].className = surpriseClass(reading.surprises[at], most);
      else spans[at].className = cellClass(reading.cell(at, cell));
    }
  }

  /** Puts the cursor on a character, and scrolls to it if wanted. */
  moveTo(position, intoSight) {
    this.spans[this.position]?.removeAttribute("data-cursor");
    this.position = position;
    this.spans[position].setAttribute("data-cursor", "");
    if (intoSight) this.spans[position].scrollIntoView({ block: "nearest", inline: "nearest" });
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
    const box = (at) => this.spans[at].getClientRects()[0], here = box(position);
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
