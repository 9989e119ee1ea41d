// What is drawn besides lines: patterns, the bands of states, the marks of commands and freezes.

const paint = (() => {
  // A tile for each cause, so that causes differ without colour too: solid, stripes, dots, a grid, rungs.
  const TILE = 8;
  const MOTIFS = {
    solid() {},
    stripes(context) {
      context.beginPath();
      for (const x of [-TILE, 0, TILE]) { context.moveTo(x, TILE); context.lineTo(x + TILE, 0); }
      context.stroke();
    },
    dots(context) {
      for (const [x, y] of [[2, 2], [6, 6]]) { context.beginPath(); context.arc(x, y, 1.4, 0, 7); context.fill(); }
    },
    rungs(context) {
      context.beginPath();
      context.moveTo(0, TILE / 2); context.lineTo(TILE, TILE / 2);
      context.stroke();
    },
    grid(context) {
      context.beginPath();
      context.moveTo(0, TILE / 2); context.lineTo(TILE, TILE / 2);
      context.moveTo(TILE / 2, 0); context.lineTo(TILE / 2, TILE);
      context.stroke();
    },
  };

  function tile(name, motif) {
    const canvas = document.createElement("canvas");
    const scale = devicePixelRatio || 1;
    canvas.width = canvas.height = TILE * scale;
    const context = canvas.getContext("2d");
    context.scale(scale, scale);
    context.lineWidth = 1.6;
    if (motif === "hatch") { // lines only: what is below stays visible
      context.strokeStyle = theme.colour(name);
      MOTIFS.stripes(context);
      return canvas;
    }
    context.fillStyle = theme.colour(name);
    context.fillRect(0, 0, TILE, TILE);
    context.strokeStyle = context.fillStyle = theme.colour("page");
    MOTIFS[motif](context);
    return canvas;
  }

  /** Return how a canvas fills with colour *name* and *motif*. */
  function fill(context, name, motif = "solid") {
    return motif === "solid" ? theme.colour(name) : context.createPattern(tile(name, motif), "repeat");
  }

  /** Draw the sample of a key on *canvas*. */
  function swatch(canvas, name, motif) {
    const scale = devicePixelRatio || 1;
    canvas.width = 16 * scale;
    canvas.height = 12 * scale;
    const context = canvas.getContext("2d");
    context.fillStyle = fill(context, name, motif);
    context.fillRect(0, 0, canvas.width, canvas.height);
  }

  function box(plot, start, end) {
    const { left, top, width, height } = plot.bbox;
    const x0 = Math.max(left, plot.valToPos(start, "x", true));
    const x1 = Math.min(left + width, plot.valToPos(end, "x", true));
    return { x: x0, y: top, width: x1 - x0, height };
  }

  function text(plot, words, x, room, y) {
    const { ctx: context } = plot;
    const scale = devicePixelRatio || 1;
    context.font = `${12 * scale}px system-ui, "DejaVu Sans", sans-serif`;
    const width = context.measureText(words).width;
    if (width + 8 * scale > room) return 0;
    context.fillStyle = theme.colour("ink");
    context.textBaseline = "middle";
    context.textAlign = "left";
    context.fillText(words, x + 4 * scale, y);
    return width + 8 * scale;
  }

  /** Draw a band for each state; its name stands in it where it fits. Below, a mark for each command. */
  function bands(plot, data) {
    const { ctx: context } = plot;
    const scale = devicePixelRatio || 1;
    context.save();
    for (const [start, end, state] of data.bands) {
      const area = box(plot, start, end);
      if (area.width <= 0) continue;
      area.height -= 10 * scale;
      if (state === "active") context.fillStyle = theme.colour("active");
      else context.fillStyle = state === "interrupted" ? theme.colour("interrupted") : theme.colour("panel");
      context.fillRect(area.x, area.y, Math.max(scale, area.width), area.height);
      if (state === "not connected") {
        context.strokeStyle = theme.colour("soft");
        context.setLineDash([3 * scale, 3 * scale]);
        context.strokeRect(area.x, area.y, area.width, area.height);
        context.setLineDash([]);
      }
      text(plot, state, area.x, area.width, area.y + area.height / 2);
    }
    for (const [time, , answer] of data.commands) {
      const { x, y, width } = box(plot, time, time);
      if (width < 0 || x > plot.bbox.left + plot.bbox.width) continue;
      mark(context, x, y + plot.bbox.height - 9 * scale, scale, answer === "ok");
    }
    context.restore();
  }

  /** A triangle for a command that was granted, a cross for one that was not. */
  function mark(context, x, y, scale, granted) {
    context.fillStyle = context.strokeStyle = theme.colour(granted ? "ink" : "fail");
    context.lineWidth = 2 * scale;
    context.beginPath();
    if (granted) {
      context.moveTo(x, y); context.lineTo(x + 4 * scale, y + 8 * scale); context.lineTo(x - 4 * scale, y + 8 * scale);
      context.fill();
    } else {
      context.moveTo(x - 4 * scale, y); context.lineTo(x + 4 * scale, y + 8 * scale);
      context.moveTo(x + 4 * scale, y); context.lineTo(x - 4 * scale, y + 8 * scale);
      context.stroke();
    }
  }

  /** Draw the times in which the picture stood still, striped over the whole height. */
  function freezes(plot, data) {
    const { ctx: context } = plot;
    const scale = devicePixelRatio || 1;
    context.save();
    for (const [start, duration] of data.freezes) {
      const area = box(plot, start, start + duration);
      if (area.width < 0) continue;
      const width = Math.max(2 * scale, area.width);
      context.fillStyle = fill(context, "data-freeze", "hatch");
      context.fillRect(area.x, area.y, width, area.height);
      context.strokeStyle = theme.colour("data-freeze");
      context.lineWidth = scale;
      context.strokeRect(area.x, area.y, width, area.height);
    }
    context.restore();
  }

  /** Draw a line at the worst moment. */
  function worst(plot, data) {
    if (data.worst === null) return;
    const area = box(plot, data.worst, data.worst);
    if (area.width < 0) return;
    const { ctx: context } = plot;
    const scale = devicePixelRatio || 1;
    context.save();
    context.strokeStyle = theme.colour("fail");
    context.lineWidth = 2 * scale;
    context.setLineDash([4 * scale, 3 * scale]);
    context.strokeRect(area.x, area.y, 0, area.height);
    context.restore();
  }

  return { fill, swatch, bands, freezes, worst };
})();
