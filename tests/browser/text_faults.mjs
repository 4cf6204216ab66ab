// Finds text of a page that is cut, hidden or overlapped, measured in the browser for every text of the page.
//
//     const faults = await measure(page);     // ["cut: …", …], empty if everything is visible
//
// A text may be outside its box only if the box can be scrolled and shows this, by a scroll bar with a
// height or by shadows at its edges that stay while the content moves.

/** Returns the faults of the current contents of `page`, each as a line that begins with its kind. */
export async function measure(page) {
  return page.evaluate(inPage);
}

/** The widths and color schemes in which every page is checked. */
export const VIEWS = [390, 1280].flatMap((width) =>
  ["light", "dark"].map((colorScheme) => ({ width, colorScheme, name: `${width} ${colorScheme}` })),
);

function inPage() {
  const faults = new Set();
  const quoted = (text) => JSON.stringify(text.trim().replace(/\s+/g, " ").slice(0, 60));
  const fault = (kind, text) => faults.add(`${kind}: ${quoted(text)}`);

  const root = document.documentElement;
  if (root.scrollWidth > innerWidth) fault("wide", `${root.scrollWidth} pixels of ${innerWidth}`);

  // ---- the texts ------------------------------------------------------------------------------------

  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const texts = [];
  while (walker.nextNode()) {
    const node = walker.currentNode;
    const element = node.parentElement;
    if (!node.data.trim() || element.closest("script, style, noscript, svg")) continue;
    if (!element.checkVisibility({ visibilityProperty: true }) || isForReadersAlone(element)) continue;
    texts.push({ node, element, lines: lines(node) });
  }

  /** Returns whether only screen readers find an element: it is one pixel, or far away until focused. */
  function isForReadersAlone(element) {
    for (let box = element; box; box = box.parentElement) {
      const style = getComputedStyle(box);
      const rect = box.getBoundingClientRect();
      if (style.clipPath !== "none" && rect.width <= 1 && rect.height <= 1) return true;
      if (style.position === "absolute" && rect.right < -innerWidth / 2) return true;
    }
    return false;
  }

  function lines(node) {
    const range = document.createRange();
    range.selectNodeContents(node);
    return [...range.getClientRects()].filter((rect) => rect.width > 0 && rect.height > 0);
  }

  // ---- cut, or outside the window ---------------------------------------------------------------------

  for (const text of texts) {
    text.seen = text.lines.flatMap((line) => {
      const seen = within(line, text);
      return seen ? [seen] : [];
    });
  }

  /** Returns the visible part of a line; a hidden part that cannot be scrolled into view is a fault. */
  function within(line, { node, element }) {
    let [left, right, top, bottom] = [line.left, line.right, line.top, line.bottom];
    for (let box = element; box !== document.body && box; box = box.parentElement) {
      const style = getComputedStyle(box);
      const rect = box.getBoundingClientRect();
      const edges = [rect.left + box.clientLeft, rect.left + box.clientLeft + box.clientWidth];
      const levels = [rect.top + box.clientTop, rect.top + box.clientTop + box.clientHeight];
      const across = style.overflowX !== "visible" && (left < edges[0] - 1 || right > edges[1] + 1);
      // Letters may extend slightly beyond a tight line.
      const along = style.overflowY !== "visible" && (top < levels[0] - 5 || bottom > levels[1] + 5);
      if (box.clientWidth === 0 || (!across && !along)) continue;
      const moves = across ? style.overflowX : style.overflowY;
      if (!["auto", "scroll"].includes(moves)) fault("cut", node.data);
      else if (!showsThatItMoves(box, style, across)) fault("no way to", node.data);
      [left, right] = [Math.max(left, edges[0]), Math.min(right, edges[1])];
      [top, bottom] = [Math.max(top, levels[0]), Math.min(bottom, levels[1])];
      if (left >= right || top >= bottom) return null;
    }
    if (right > innerWidth + 1 || left < -1) fault("outside", node.data);
    return { left, right, top, bottom };
  }

  function showsThatItMoves(box, style, across) {
    const thick = across
      ? box.offsetHeight - box.clientHeight - box.clientTop * 2
      : box.offsetWidth - box.clientWidth - box.clientLeft * 2;
    const attached = style.backgroundAttachment.split(", ");
    const shadows = attached.includes("local") && attached.includes("scroll");
    return (thick >= 5 || shadows) && (box.tabIndex >= 0 || box.querySelector("a, button, [tabindex]"));
  }

  for (const box of document.body.querySelectorAll("*")) {
    const style = getComputedStyle(box);
    const isMoved = ["auto", "scroll"].includes(style.overflowX) && box.scrollWidth > box.clientWidth + 1;
    if (isMoved && !showsThatItMoves(box, style, true)) fault("no way to", box.textContent);
    const rect = box.getBoundingClientRect();
    if (rect.width === 0 || rect.height === 0 || rect.left >= -1 && rect.right <= innerWidth + 1) continue;
    if (isForReadersAlone(box) || !box.checkVisibility()) continue;
    let held = false;
    for (let up = box.parentElement; up && up !== document.body; up = up.parentElement) {
      held ||= getComputedStyle(up).overflowX !== "visible";
    }
    if (!held) fault("outside", `<${box.tagName.toLowerCase()} class="${box.getAttribute("class") ?? ""}">`);
  }

  // ---- a % sign on a line without its number ----------------------------------------------------------

  let before = null;
  for (const { node } of texts) {
    for (let i = 0; i < node.data.length; i++) {
      if (!node.data[i].trim()) continue;
      const sign = node.data[i] === "%";
      const place = sign && rectOf(node, i);
      if (sign && before && place) {
        const number = rectOf(before.node, before.i);
        const apart = number && (place.top >= number.bottom - 2 || place.bottom <= number.top + 2);
        if (apart && /\d/.test(before.node.data[before.i])) fault("lone %", node.data);
      }
      before = { node, i };
    }
  }

  function rectOf(node, i) {
    const range = document.createRange();
    range.setStart(node, i);
    range.setEnd(node, i + 1);
    const rect = range.getBoundingClientRect();
    return rect.width > 0 ? rect : null;
  }

  // ---- overlapping texts ------------------------------------------------------------------------------

  const meet = (a, b, by) =>
    Math.min(a.right, b.right) - Math.max(a.left, b.left) > by &&
    Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > by;

  // Letters are smaller than their line box, so a fifth of its height may overlap.
  const pieces = texts
    .filter(({ element }) => !isUnderOthers(element))
    .flatMap(({ node, element, seen }) =>
      seen.map((rect) => {
        const slack = (rect.bottom - rect.top) / 5;
        return { node, element, left: rect.left, right: rect.right, top: rect.top + slack, bottom: rect.bottom - slack };
      }),
    )
    .sort((a, b) => a.top - b.top);
  pieces.forEach((piece, i) => {
    for (let j = i + 1; j < pieces.length && pieces[j].top < piece.bottom; j++) {
      if (pieces[j].node === piece.node || !meet(piece, pieces[j], 1)) continue;
      fault("over another", `${piece.node.data.trim().slice(0, 25)} / ${pieces[j].node.data}`);
    }
  });

  /** Returns whether a text is scrolled below a sticky column. */
  function isUnderOthers(element) {
    const mover = element.closest(".scroll");
    return mover !== null && mover.scrollLeft > 0;
  }

  // ---- plots ----------------------------------------------------------------------------------------

  for (const svg of document.querySelectorAll("svg[role=img]")) {
    const frame = svg.getBoundingClientRect();
    const name = svg.getAttribute("aria-labelledby");
    const labels = [...svg.querySelectorAll("text")].filter((label) => label.textContent.trim());
    const boxes = labels.map((label) => ({ label, rect: label.getBoundingClientRect() }));
    for (const { label, rect } of boxes) {
      const out =
        rect.left < frame.left - 1 || rect.right > frame.right + 1 ||
        rect.top < frame.top - 1 || rect.bottom > frame.bottom + 1;
      if (out) fault("outside its plot", `${name} ${label.textContent}`);
    }
    boxes.forEach(({ label, rect }, i) => {
      for (const other of boxes.slice(i + 1)) {
        if (!meet(rect, other.rect, 1)) continue;
        fault("over another", `${name} ${label.textContent.trim()} / ${other.label.textContent}`);
      }
    });
    // Only the cells of a confusion matrix have numbers in them; other plots have no text on bars.
    if (name.startsWith("confusion")) continue;
    for (const bar of svg.querySelectorAll("rect")) {
      const box = bar.getBoundingClientRect();
      const written = boxes.find(({ rect }) => meet(rect, box, 1.5));
      if (written) fault("over a bar", `${name} ${written.label.textContent}`);
    }
  }
  return [...faults];
}
