// Light and dark: by the system, or as the reader chose. Canvases know no CSS, so they ask here for their colours.

const theme = (() => {
  const listeners = new Set();
  const system = matchMedia("(prefers-color-scheme: dark)");
  let printing = false;
  let resolved = new Map();

  function changed() {
    resolved = new Map();
    listeners.forEach((listener) => listener());
  }

  /** Return a custom property of the page as a colour that a canvas takes: light-dark() is resolved. */
  function colour(name) {
    if (!resolved.has(name)) {
      const probe = document.createElement("span");
      probe.style.color = `var(--${name})`;
      if (printing) probe.style.colorScheme = "light";
      document.body.append(probe);
      resolved.set(name, getComputedStyle(probe).color);
      probe.remove();
    }
    return resolved.get(name);
  }

  function choose(name) {
    if (name) document.documentElement.dataset.theme = name;
    else delete document.documentElement.dataset.theme;
    changed();
  }

  // A page from a file may have no storage; then the choice lasts as long as the page.
  function remembered() {
    try { return localStorage.getItem("flume-report-theme") || ""; } catch { return ""; }
  }

  function remember(name) {
    try { localStorage.setItem("flume-report-theme", name); } catch { /* it lasts as long as the page */ }
  }

  function start() {
    const select = document.getElementById("theme");
    select.value = remembered();
    choose(select.value);
    select.addEventListener("change", () => { remember(select.value); choose(select.value); });
    system.addEventListener("change", changed);
    addEventListener("beforeprint", () => { printing = true; resolved = new Map(); });
    addEventListener("afterprint", () => { printing = false; resolved = new Map(); });
  }

  return { colour, start, isPrinting: () => printing, onChange: (listener) => listeners.add(listener) };
})();
