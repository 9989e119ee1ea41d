// The panels of a time line: what each shows, its unit, its key. A panel whose values were not measured is left out.

const panels = (() => {
  const formats = [0, 1, 2].map((digits) => new Intl.NumberFormat("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }));
  const format = (value, digits = 0) => (value == null ? "–" : formats[digits].format(value).replaceAll(",", "\u202f"));
  const present = (values) => values.filter((value) => value !== null);
  // Not by spreading: an hour has more values than a call may have arguments.
  const most = (values) => present(values).reduce((a, b) => Math.max(a, b), -Infinity);
  const least = (values) => present(values).reduce((a, b) => Math.min(a, b), Infinity);
  const sum = (values) => present(values).reduce((a, b) => a + b, 0);

  const total = (values) => `${format(sum(values))} in all`;
  const peak = (digits) => (values) => (present(values).length ? `at most ${format(most(values), digits)}` : "none");
  const lowest = (digits) => (values) => (present(values).length ? `at least ${format(least(values), digits)}` : "none");

  const each = (bin) => `each ${format(bin, bin < 1 ? (bin < 0.1 ? 2 : 1) : bin % 1 ? 1 : 0)} s`;
  const LOSSES = [
    { name: "upstream", label: "before its relay", colour: "loss-upstream", motif: "rungs", summary: total },
    { name: "link", label: "link", colour: "loss-link", motif: "solid", summary: total },
    { name: "queue", label: "full queue", colour: "loss-queue", motif: "stripes", summary: total },
    { name: "host", label: "engine’s host", colour: "loss-host", motif: "dots", summary: total },
    { name: "beyond", label: "behind the interface", colour: "loss-beyond", motif: "grid", summary: total },
  ];

  const KINDS = {
    sent: {
      title: "Sent by the server", unit: (bin) => `datagrams ${each(bin)}`, kind: "bars", height: 72,
      lines: [
        { name: "sent", label: "sent", colour: "data-sent", motif: "solid", summary: total },
        { name: "leaked", label: "while not active", colour: "data-leaked", motif: "stripes", summary: total, over: true },
      ],
    },
    rate: {
      title: "Rate at the client", unit: () => "kbit/s", kind: "line", height: 88,
      lines: [{ name: "rate", label: "rate", colour: "data-rate", motif: "solid", summary: peak(0) }],
    },
    lost: { title: "Lost, by cause", unit: (bin) => `datagrams ${each(bin)}`, kind: "bars", height: 88, lines: LOSSES },
    delay: {
      title: "Delay", unit: () => "ms", kind: "line", height: 88,
      lines: [{ name: "delay", label: "median", colour: "data-delay", motif: "solid", digits: 1, summary: peak(1) }],
    },
    shown: {
      title: "Frames shown", unit: (bin) => `frames ${each(bin)}`, kind: "bars", height: 88, over: paint.freezes,
      lines: [{ name: "shown", label: "shown", colour: "data-shown", motif: "solid", summary: total }],
    },
    vmaf: {
      title: "Picture quality", unit: () => "least VMAF (0 to 100)", kind: "points", height: 88, top: 100, over: paint.worst,
      lines: [{ name: "vmaf", label: "VMAF", colour: "data-vmaf", motif: "solid", digits: 1, summary: lowest(1) }],
    },
  };

  /** Return the panels of a client's *data*, each with its lines' values; the states come first. */
  function of(data) {
    const states = { id: "state", title: "State", unit: "", kind: "bands", height: 56, lines: [], over: paint.bands, bin: null };
    const measured = Object.entries(KINDS).filter(([id]) => data.charts[id]).map(([id, kind]) => {
      const chart = data.charts[id];
      const lines = kind.lines.filter((line) => chart.lines[line.name]).map((line) => ({ ...line, values: chart.lines[line.name] }));
      return { ...kind, id, bin: chart.bin, unit: kind.unit(chart.bin), lines };
    });
    return [states, ...measured];
  }

  /** Return in words what *panel* shows, for people who do not see it. */
  function summary(panel, data) {
    if (panel.kind === "bands") {
      return `State: ${data.bands.map(([start, end, state]) => `${state} from ${format(start, 1)} to ${format(end, 1)} s`).join(", ")}`;
    }
    const lines = panel.lines.map((line) => `${line.label} ${line.summary(line.values)}`).join(", ");
    const freezes = panel.id === "shown" ? `; ${data.freezes.length} freeze${data.freezes.length === 1 ? "" : "s"}` : "";
    return `${panel.title}, ${panel.unit}: ${lines}${freezes}`;
  }

  /** Return the state at *time*, with the command that was sent within *near* seconds of it. */
  function stateAt(data, time, near) {
    const band = data.bands.find(([start, end]) => time >= start && time <= end);
    const close = data.commands.filter(([at]) => Math.abs(at - time) <= near);
    const said = close.map(([at, name, answer]) => `${name}${answer === "ok" ? "" : ` refused (${answer ?? "no answer"})`} at ${format(at, 2)} s`);
    return [band ? band[2] : "–", ...said].join("; ");
  }

  /** Return the freeze at *time* in words; empty if the picture moved. */
  function freezeAt(data, time) {
    const freeze = data.freezes.find(([start, duration]) => time >= start && time <= start + duration);
    return freeze ? `frozen for ${format(freeze[1], 2)} s` : "";
  }

  return { of, summary, format, stateAt, freezeAt, most };
})();
