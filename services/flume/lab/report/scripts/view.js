// What all time lines of the page share: the shown part of the run, and the moment under the cursor.

const view = (() => {
  const LEAST_S = 0.5; // shorter than this, less than a handful of values would be on the screen
  const listeners = new Set();
  const state = { whole: 1, min: 0, max: 1, cursor: null };

  function tell(what) { listeners.forEach((listener) => listener(what)); }

  function setRange(min, max) {
    const width = Math.min(state.whole, Math.max(Math.min(LEAST_S, state.whole), max - min));
    const middle = (min + max) / 2;
    const start = Math.min(Math.max(0, middle - width / 2), state.whole - width);
    if (start === state.min && start + width === state.max) return;
    state.min = start;
    state.max = start + width;
    tell("range");
  }

  function setCursor(time) {
    const clamped = time === null ? null : Math.min(Math.max(0, time), state.whole);
    if (clamped === state.cursor) return;
    state.cursor = clamped;
    tell("cursor");
  }

  /** Zoom by *factor* around the cursor if it is in sight, else around the middle. */
  function zoom(factor) {
    const inSight = state.cursor !== null && state.cursor >= state.min && state.cursor <= state.max;
    const fixed = inSight ? state.cursor : (state.min + state.max) / 2;
    setRange(fixed - (fixed - state.min) * factor, fixed + (state.max - fixed) * factor);
  }

  /** Shift what is shown by a *share* of its width. */
  function shift(share) {
    const by = (state.max - state.min) * share;
    const start = Math.min(Math.max(0, state.min + by), state.whole - (state.max - state.min));
    setRange(start, start + state.max - state.min);
  }

  /** Move the cursor by *seconds*, and what is shown with it. */
  function step(seconds) {
    setCursor((state.cursor === null ? state.min : state.cursor + seconds));
    if (state.cursor < state.min) shift((state.cursor - state.min) / (state.max - state.min) - 0.1);
    if (state.cursor > state.max) shift((state.cursor - state.max) / (state.max - state.min) + 0.1);
  }

  return {
    state, setRange, setCursor, zoom, shift, step,
    isWhole: () => state.min <= 0 && state.max >= state.whole,
    reset: () => setRange(0, state.whole),
    start(whole) { state.whole = state.max = Math.max(whole, 1e-3); },
    onChange: (listener) => listeners.add(listener),
  };
})();
