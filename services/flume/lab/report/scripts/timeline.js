// The time line of one client: a plot a panel, built when it comes near the screen and taken down when it leaves it.

class Timeline {
  constructor(holder) {
    this.holder = holder;
    this.data = JSON.parse(document.getElementById(`${holder.dataset.of}-data`).textContent);
    this.parts = panels.of(this.data).map((panel) => this.makePart(panel));
    this.isDrawn = false;
    holder.addEventListener("keydown", (event) => this.onKey(event));
    holder.addEventListener("pointerleave", () => view.setCursor(null));
    holder.addEventListener("wheel", (event) => this.onWheel(event), { passive: false });
  }

  /** Add the frame of *panel* to the page: title with unit, a reading a line, the room for its plot. */
  makePart(panel) {
    const head = element("div", "panel-head");
    head.append(element("span", "panel-title", panel.unit ? `${panel.title}, ${panel.unit}` : panel.title));
    const readings = panel.lines.map((line) => {
      const reading = element("span", "reading");
      const swatch = element("canvas", "swatch");
      swatch.setAttribute("aria-hidden", "true");
      const output = element("output");
      output.dataset.line = line.name;
      output.setAttribute("aria-live", "off"); // the cursor moves too often for that; keys have a voice of their own
      reading.append(swatch, line.label, output);
      head.append(reading);
      return { line, swatch, output };
    });
    const extra = element("output", "reading");
    extra.setAttribute("aria-live", "off");
    extra.dataset.line = panel.id === "state" ? "state" : "freeze";
    if (panel.id === "state" || panel.id === "shown") head.append(extra);
    const plot = element("div", "plot");
    plot.setAttribute("role", "img");
    plot.setAttribute("aria-label", panels.summary(panel, this.data));
    const whole = element("div", "panel");
    whole.dataset.panel = panel.id;
    whole.append(head, plot);
    this.holder.append(whole);
    const part = { panel, readings, extra, plot, isLast: false, chart: null };
    plot.style.height = `${panel.height}px`;
    return part;
  }

  draw() {
    if (this.isDrawn) return;
    this.isDrawn = true;
    this.parts.forEach((part, position) => {
      part.isLast = position === this.parts.length - 1;
      part.plot.style.height = `${heightOf(part)}px`;
      part.chart = new uPlot(chartOptions(part, this.data, this.holder.clientWidth), chartData(part.panel), part.plot);
      part.readings.forEach(({ line, swatch }) => paint.swatch(swatch, line.colour, line.motif));
    });
    this.showRange();
    this.showCursor();
  }

  remove() {
    if (!this.isDrawn) return;
    this.isDrawn = false;
    this.parts.forEach((part) => { part.chart.destroy(); part.chart = null; });
  }

  redraw() {
    if (this.isDrawn) { this.remove(); this.draw(); }
  }

  resize(width = this.holder.clientWidth) {
    if (this.isDrawn) this.parts.forEach((part) => part.chart.setSize({ width, height: heightOf(part) }));
  }

  /** Draw for paper, also what is far from the screen. */
  print() {
    this.remove();
    this.draw();
    this.resize(PAPER_WIDTH);
  }

  showRange() {
    if (this.isDrawn) this.parts.forEach(({ chart }) => chart.setScale("x", { min: view.state.min, max: view.state.max }));
  }

  showCursor() {
    if (!this.isDrawn) return;
    const { cursor, min, max } = view.state;
    this.parts.forEach((part) => {
      const inSight = cursor !== null && cursor >= min && cursor <= max;
      part.chart.setCursor({ left: inSight ? part.chart.valToPos(cursor, "x") : -10, top: inSight ? 1 : -10 }, false);
      this.read(part, cursor);
    });
  }

  /** Write the values at *cursor* beside the key; without a cursor the sum or the peak of the run. */
  read(part, cursor) {
    const { panel } = part;
    part.readings.forEach(({ line, output }) => {
      const value = cursor === null ? null : line.values[indexAt(panel, cursor, line.values.length)];
      output.textContent = cursor === null ? line.summary(line.values) : panels.format(value, line.digits);
    });
    if (panel.id === "state") {
      const near = (view.state.max - view.state.min) / 100;
      part.extra.textContent = cursor === null ? statesWords(this.data) : panels.stateAt(this.data, cursor, near);
    }
    if (panel.id === "shown") {
      const { length } = this.data.freezes;
      part.extra.textContent = cursor === null ? `${length} freeze${length === 1 ? "" : "s"}` : panels.freezeAt(this.data, cursor);
    }
  }

  /** Return all that is shown at the cursor, as one line to be spoken. */
  spoken() {
    const words = this.parts.flatMap(({ panel, readings, extra }) => [
      ...readings.map(({ line, output }) => `${readings.length > 1 ? `${panel.title} ${line.label}` : panel.title} ${output.textContent}`),
      ...(extra.textContent ? [extra.textContent] : []),
    ]);
    return `${this.data.name}, ${panels.format(view.state.cursor, 2)} s: ${words.join(", ")}`;
  }

  onKey(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target !== this.holder) return;
    const widest = Math.max(...this.parts.map(({ panel }) => panel.bin ?? 0).filter((bin) => bin < 1), 0.1);
    const step = Math.max(widest, (view.state.max - view.state.min) / 200) * (event.shiftKey ? 10 : 1);
    const actions = {
      ArrowLeft: () => view.step(-step), ArrowRight: () => view.step(step),
      "+": () => view.zoom(0.5), "=": () => view.zoom(0.5), "-": () => view.zoom(2),
      PageUp: () => view.shift(-0.5), PageDown: () => view.shift(0.5),
      Home: () => view.setCursor(view.state.min), End: () => view.setCursor(view.state.max),
      Escape: () => view.reset(), 0: () => view.reset(),
    };
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
    if (view.state.cursor !== null) speak(() => this.spoken());
  }

  onWheel(event) {
    if (!event.ctrlKey) return; // the page scrolls; two fingers on a trackpad come with Ctrl
    event.preventDefault();
    view.zoom(event.deltaY < 0 ? 0.8 : 1.25);
  }
}

const PAPER_WIDTH = 680; // what A4 and Letter have between usual margins, in CSS pixels
const MARKS_HEIGHT = 22;
const LABEL_HEIGHT = 18;
const COUNTS = [1, 2, 5].flatMap((digit) => [0, 1, 2, 3, 4, 5, 6].map((power) => digit * 10 ** power)).sort((a, b) => a - b);

function heightOf(part) { return part.panel.height + (part.isLast ? MARKS_HEIGHT + LABEL_HEIGHT : 0); }

function indexAt(panel, time, length) { return Math.min(length - 1, Math.max(0, Math.floor(time / panel.bin + 1e-6))); }

function statesWords(data) {
  const { length } = data.commands;
  return `${length} command${length === 1 ? "" : "s"}`;
}

function element(tag, name, text) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  if (text !== undefined) made.textContent = text;
  return made;
}

/** Return the x values and lines of *panel* for uPlot. Bars are stacked: each line holds the sum of it and those before. */
function chartData(panel) {
  if (panel.kind === "bands") return [[0, view.state.whole], [null, null]];
  const { length } = panel.lines[0].values;
  const times = Array.from({ length }, (_, position) => (position + 0.5) * panel.bin);
  if (panel.kind !== "bars") return [times, ...panel.lines.map((line) => line.values)];
  let below = new Array(length).fill(0);
  const stacked = panel.lines.map((line) => {
    if (line.over) return line.values; // a part of the line before, drawn over it
    below = line.values.map((value, position) => value + below[position]);
    return below;
  });
  // The highest first, so that each lower one covers its part of it.
  return [times, ...(panel.lines.some((line) => line.over) ? stacked : stacked.reverse())];
}

function seriesOf(part) {
  const { panel } = part;
  if (panel.kind === "bands") return [{ show: true, points: { show: false } }];
  const made = panel.lines.map((line) => {
    const common = { label: line.label, points: { show: false }, stroke: () => theme.colour(line.colour), width: 1.5 };
    if (panel.kind === "points") {
      return { ...common, points: { show: true, size: 4, width: 0, fill: () => theme.colour(line.colour) }, width: 1 };
    }
    if (panel.kind === "line") return common;
    const fill = (plot) => paint.fill(plot.ctx, line.colour, line.motif);
    return { ...common, width: 0, fill, paths: uPlot.paths.bars({ size: [1, Infinity, 1], gap: 0 }) };
  });
  return panel.kind === "bars" && !panel.lines.some((line) => line.over) ? made.reverse() : made;
}

function axesOf(part, narrow) {
  const line = { stroke: () => theme.colour("soft"), font: '12px system-ui, "DejaVu Sans", sans-serif' };
  const grid = { stroke: () => theme.colour("grid"), width: 1 };
  const x = {
    ...line, grid, ticks: { show: part.isLast, stroke: () => theme.colour("soft"), size: 4 }, size: part.isLast ? MARKS_HEIGHT : 0,
    space: narrow ? 48 : 64, label: part.isLast ? "seconds since the run began" : undefined, labelSize: part.isLast ? LABEL_HEIGHT : 0, labelGap: 0,
    labelFont: line.font, values: (_, marks) => marks.map((mark) => (part.isLast ? shortNumber(mark) : "")),
  };
  const y = { ...line, grid, ticks: { show: false }, size: 52, gap: 4, space: 20, values: (_, marks) => marks.map(shortNumber) };
  if (part.panel.kind === "bars") y.incrs = COUNTS; // there is no half datagram
  return [x, part.panel.kind === "bands" ? { ...y, grid: { show: false }, values: () => [] } : y];
}

/** Return a mark as short as it can be: 12 000 as 12k. */
function shortNumber(value) {
  if (value === null) return null;
  if (Math.abs(value) >= 10000) return `${+(value / 1000).toFixed(1)}k`;
  return String(+value.toFixed(3));
}

function chartOptions(part, data, width) {
  const { panel } = part;
  // Of the whole run, so that the same height means the same number at every zoom.
  const highest = panel.top ?? Math.max(1, panel.kind === "bands" ? 1 : highestOf(panel)) * 1.08;
  return {
    width, height: heightOf(part), padding: [8, 8, part.isLast ? 0 : 8, 0], legend: { show: false }, pxAlign: 1,
    scales: { x: { time: false, range: (_, min, max) => [min ?? 0, max ?? view.state.whole] }, y: { range: () => [0, highest] } },
    series: [{}, ...seriesOf(part)],
    axes: axesOf(part, width < 500),
    cursor: {
      y: false, points: { show: false },
      drag: { x: true, y: false, setScale: false, dist: 4 },
      bind: { dblclick: () => () => { view.reset(); return null; } },
    },
    hooks: {
      draw: [(plot) => panel.over?.(plot, data)],
      setCursor: [(plot) => followMouse(plot)],
      setSelect: [(plot) => {
        if (plot.select.width < 4) return;
        const { left, width: wide } = plot.select;
        view.setRange(plot.posToVal(left, "x"), plot.posToVal(left + wide, "x"));
        plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
      }],
    },
  };
}

/** Move the common cursor to that of *plot*, where the mouse has moved it. */
function followMouse(plot) {
  const { event, left } = plot.cursor;
  if (!event || !mouse.moved) return;
  view.setCursor(left < 0 ? null : plot.posToVal(left, "x"));
}

/** Whether the last event of the mouse was a move: a page that changes below a mouse at rest gets events too, and they
 * would undo what a key has done. */
const mouse = (() => {
  const last = { x: null, y: null, moved: false };
  addEventListener("mousemove", ({ clientX, clientY }) => {
    last.moved = clientX !== last.x || clientY !== last.y;
    last.x = clientX;
    last.y = clientY;
  }, { capture: true });
  return last;
})();

function highestOf(panel) {
  const [, ...lines] = chartData(panel);
  return Math.max(...lines.map((values) => panels.most(values)), 0);
}
