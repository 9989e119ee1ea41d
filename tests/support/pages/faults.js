// What a reader would see as broken, found by measuring the page as it is drawn. Each function returns lines; none is good.

const SLACK = 1; // browsers round boxes to pixels

function name(element) {
  const text = (element.textContent || "").trim().replace(/\s+/g, " ").slice(0, 40);
  return `${element.tagName.toLowerCase()}${element.id ? `#${element.id}` : ""}.${[...element.classList].join(".")} "${text}"`;
}

const unseen = new Map();

/** Whether *element* is there for readers that hear the page only. */
function isUnseen(element) {
  if (!element) return false;
  if (!unseen.has(element)) {
    const style = getComputedStyle(element);
    const itself = style.clipPath !== "none" || style.visibility === "hidden" || style.display === "none";
    unseen.set(element, itself || isUnseen(element.parentElement));
  }
  return unseen.get(element);
}

/** Return each piece of text that is drawn, with its boxes; what floats above the rest is left out. */
function texts() {
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const parent = node.parentElement;
    if (!node.data.trim() || ["SCRIPT", "STYLE", "NOSCRIPT", "OPTION"].includes(parent.tagName)) continue;
    if (isUnseen(parent) || parent.closest(".tools")) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const box of range.getClientRects()) if (box.width > 1 && box.height > 1) found.push({ parent, box });
  }
  return found;
}

/** Return what makes the page scroll sideways, stands beyond its edges, or is cut by its own box. */
function cut() {
  const faults = [];
  const wide = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > wide) faults.push(`the page is ${document.documentElement.scrollWidth} px wide, the window ${wide}`);
  for (const { parent, box } of texts()) {
    if (box.right > wide + SLACK || box.left < -SLACK) faults.push(`beyond the edge: ${name(parent)}`);
  }
  for (const element of document.body.querySelectorAll("*")) {
    if (isUnseen(element) || element.closest(".uplot")) continue;
    const { overflowX } = getComputedStyle(element);
    const inside = element.scrollWidth - element.clientWidth;
    if (overflowX !== "visible" && element.clientWidth && inside > SLACK) faults.push(`cut by its own box: ${name(element)}`);
  }
  return faults;
}

/** Return the texts that are drawn over each other. */
function overlapping() {
  const faults = new Set();
  const found = texts().sort((one, other) => one.box.top - other.box.top);
  found.forEach(({ parent, box }, position) => {
    for (const other of found.slice(position + 1)) {
      if (other.box.top >= box.bottom - 2 * SLACK) break;
      const across = Math.min(box.right, other.box.right) - Math.max(box.left, other.box.left);
      const down = Math.min(box.bottom, other.box.bottom) - Math.max(box.top, other.box.top);
      // Lines of one text touch by their leading; two texts that cover a third of a line do not by chance.
      if (across > 2 * SLACK && down > Math.min(box.height, other.box.height) / 3) faults.add(`${name(parent)} and ${name(other.parent)}`);
    }
  });
  return [...faults];
}

const drawn = new Map();

/** Return what a screen shows for *colour*, in whichever form it is written. */
function channels(colour) {
  if (!drawn.has(colour)) {
    const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
    drawn.set(colour, { red, green, blue, alpha });
  }
  return drawn.get(colour);
}

/** Return the relative luminance of *colour* (WCAG 2.1). */
function luminance(colour) {
  const { red, green, blue } = channels(colour);
  const [r, g, b] = [red, green, blue].map((value) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(one, other) {
  const [lighter, darker] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return (lighter + 0.05) / (darker + 0.05);
}

function background(element) {
  for (let around = element; around; around = around.parentElement) {
    const colour = getComputedStyle(around).backgroundColor;
    if (channels(colour).alpha === 255) return colour;
  }
  return "white";
}

/** Return the texts whose contrast is below *least*, and the least contrast of all. */
function faint(least) {
  const known = new Map();
  const faults = new Set();
  let lowest = 21;
  for (const { parent } of texts()) {
    const colours = [getComputedStyle(parent).color, background(parent)];
    const key = colours.join();
    if (!known.has(key)) known.set(key, contrast(...colours));
    lowest = Math.min(lowest, known.get(key));
    if (known.get(key) < least) faults.add(`${known.get(key).toFixed(2)}: ${name(parent)}`);
  }
  return { faults: [...faults], lowest, count: known.size };
}
