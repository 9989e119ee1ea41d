// Brings the page to life: which time lines are drawn, the tools above them, links to a client.

const speak = (() => {
  let waiting = 0;
  // While a key is held down only the last place is worth saying.
  return (words) => {
    clearTimeout(waiting);
    waiting = setTimeout(() => { document.getElementById("spoken").textContent = words(); }, 250);
  };
})();

const timelines = (() => {
  const made = new Map();
  const near = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting) timelineOf(entry.target).draw();
      else made.get(entry.target)?.remove();
    }
  }, { rootMargin: "400px" });
  const sizes = new ResizeObserver((entries) => {
    if (theme.isPrinting()) return; // paper has a width of its own
    for (const { target } of entries) made.get(target)?.resize();
  });

  function timelineOf(holder) {
    if (!made.has(holder)) {
      made.set(holder, new Timeline(holder));
      sizes.observe(holder);
    }
    return made.get(holder);
  }

  function watch(holder) {
    // The room that an open time line takes is there from the start, so that a link to a client leads there.
    const details = holder.closest("details");
    if (details.open) timelineOf(holder);
    details.addEventListener("toggle", () => { if (details.open) timelineOf(holder); });
    near.observe(holder);
  }

  return { each: (action) => made.forEach(action), watch };
})();

function startTools() {
  const tools = document.querySelector(".tools");
  const actions = {
    in: () => view.zoom(0.5), out: () => view.zoom(2), back: () => view.shift(-0.5), on: () => view.shift(0.5), all: view.reset,
  };
  const buttons = [...tools.querySelectorAll("button")];
  const show = () => {
    const { min, max, whole, cursor } = view.state;
    const digits = max - min < 20 ? 1 : 0;
    tools.querySelector(".shown").textContent = `${panels.format(min, digits)} to ${panels.format(max, digits)} of ${panels.format(whole, 1)} s`;
    tools.querySelector(".cursor").textContent = cursor === null ? "" : `cursor at ${panels.format(cursor, 2)} s`;
    const off = { out: view.isWhole(), all: view.isWhole(), back: min <= 0, on: max >= whole, in: max - min <= 0.5 };
    buttons.forEach((button) => button.setAttribute("aria-disabled", String(off[button.dataset.do])));
  };
  tools.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button && button.getAttribute("aria-disabled") !== "true") actions[button.dataset.do]();
  });
  tools.querySelector(".cursor").setAttribute("aria-live", "off");
  view.onChange(show);
  show();
}

/** Open the client that the address names, and all that is around it: a closed one cannot be scrolled to. */
function openTarget() {
  const target = location.hash && document.getElementById(location.hash.slice(1));
  for (let around = target; around; around = around.parentElement) if (around.tagName === "DETAILS") around.open = true;
  if (target) target.scrollIntoView();
}

function start() {
  document.getElementById("unscripted").remove();
  const holders = [...document.querySelectorAll(".charts")];
  const durations = [...document.querySelectorAll("#lines script")].slice(0, 1).map((script) => JSON.parse(script.textContent).duration);
  view.start(durations[0] ?? 1);
  theme.start();
  startTools();
  let pending = 0;
  const changed = new Set();
  view.onChange((what) => {
    changed.add(what);
    pending ||= requestAnimationFrame(() => {
      pending = 0;
      timelines.each((timeline) => {
        if (changed.has("range")) timeline.showRange();
        timeline.showCursor();
      });
      changed.clear();
    });
  });
  theme.onChange(() => timelines.each((timeline) => timeline.redraw()));
  // A browser makes no layout for paper before it asks for the drawings.
  addEventListener("beforeprint", () => timelines.each((timeline) => { if (timeline.holder.checkVisibility()) timeline.print(); }));
  addEventListener("afterprint", () => timelines.each((timeline) => timeline.redraw()));
  holders.forEach((holder) => timelines.watch(holder));
  addEventListener("hashchange", openTarget);
  openTarget();
}

start();
