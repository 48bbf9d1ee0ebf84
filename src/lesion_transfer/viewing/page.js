"use strict";
// The viewer of a page of `lesion view --html`: the same walk, keys and windows as the window viewer (view.py).
(() => {
  const element = (id) => document.getElementById(id);
  const stacks = JSON.parse(element("stacks").textContent);
  const canvas = element("image");
  const context = canvas.getContext("2d");
  const unpacked = new Map();
  // place: number in stacks, layout, plane, time; window null = each image with its file's own.
  const state = { number: 0, layout: 0, plane: 0, time: 0, window: null, marks: true };
  let voxels = null;

  const stack = () => stacks[state.number];
  const layout = () => stack().layouts[state.layout];
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

  async function unpack(number) {
    if (!unpacked.has(number)) {
      const text = atob(element(`pixels-${number}`).textContent);
      const bytes = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
      const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
      const buffer = await new Response(stream).arrayBuffer();
      unpacked.clear(); // one series at a time: a page may hold more than a phone can
      unpacked.set(number, stacks[number].bytes === 1 ? new Uint8Array(buffer) : new Uint16Array(buffer));
    }
    return unpacked.get(number);
  }

  async function open(number) {
    state.number = number;
    voxels = null;
    element("caption").textContent = "Unpacking …";
    const found = await unpack(number);
    if (state.number !== number) return; // another series was chosen meanwhile
    voxels = found;
    Object.assign(state, { layout: 0, time: 0, window: null });
    const marks = layout().marks;
    state.plane = marks.length ? marks[0].plane : Math.floor(layout().n / 2);
    buildControls();
    draw();
  }

  function fileWindow() {
    const windows = stack().windows;
    if (windows.length === 1) return windows[0];
    const slice = layout().axis === 0 ? state.plane : Math.floor(stack().slices / 2);
    return windows[state.time * stack().slices + slice];
  }

  // Equations 4.2-4.4 of the thesis (LINEAR), and DICOM's other two functions (PS3.3 C.11.2.1).
  function shown(value, [centre, width, kind]) {
    if (kind === "SIGMOID") return 255 / (1 + Math.exp((-4 * (value - centre)) / width));
    if (kind === "LINEAR_EXACT") return width > 0 ? clamp((value - centre) / width + 0.5, 0, 1) * 255 : 0;
    if (value <= centre - 0.5 - (width - 1) / 2) return 0;
    if (value > centre - 0.5 + (width - 1) / 2) return 255;
    return ((value - (centre - 0.5)) / (width - 1) + 0.5) * 255;
  }

  function greys(window) {
    const { bytes, low, step, hasNan, inverted } = stack();
    const table = new Uint8Array(bytes === 1 ? 256 : 65536);
    for (let stored = 0; stored < table.length; stored++) {
      const grey = Math.round(shown(low + stored * step, window));
      table[stored] = inverted ? 255 - grey : grey;
    }
    if (hasNan) table[0] = 0; // where there is no value it is black, in an inverted image too
    return table;
  }

  function planeOffset() {
    return state.time * stack().voxels + layout().base + state.plane * layout().step;
  }

  function draw() {
    if (!voxels) return;
    const { rows, columns, rowStep, columnStep } = layout();
    const window = state.window || fileWindow();
    const table = greys(window);
    canvas.width = columns;
    canvas.height = rows;
    const image = context.createImageData(columns, rows);
    const offset = planeOffset();
    for (let row = 0, pixel = 0; row < rows; row++) {
      let voxel = offset + row * rowStep;
      for (let column = 0; column < columns; column++, pixel += 4, voxel += columnStep) {
        const grey = table[voxels[voxel]];
        image.data[pixel] = image.data[pixel + 1] = image.data[pixel + 2] = grey;
        image.data[pixel + 3] = 255;
      }
    }
    context.putImageData(image, 0, 0);
    fit();
    describe(window);
  }

  function fit() {
    const frame = element("frame").getBoundingClientRect();
    const { rows, columns, pixel, bar } = layout();
    const scale = Math.min(frame.width / (columns * pixel[1]), frame.height / (rows * pixel[0]));
    const width = columns * pixel[1] * scale;
    const height = rows * pixel[0] * scale;
    const [marks, ruler] = [element("marks"), element("scale")];
    for (const part of [canvas, marks, ruler]) {
      part.style.width = `${width}px`;
      part.style.height = `${height}px`;
    }
    ruler.replaceChildren();
    if (bar) {
      const right = 12 + bar * scale;
      const length = drawn("text", { x: right + 8, y: height - 11 });
      length.textContent = `${bar} mm`;
      ruler.append(drawn("path", { d: `M12 ${height - 18}v6H${right}v-6` }), length);
    }
    marks.replaceChildren();
    for (const mark of state.marks ? layout().marks : []) {
      if (mark.plane !== state.plane) continue;
      const x = ((mark.x + 0.5) / columns) * width;
      const y = ((mark.y + 0.5) / rows) * height;
      marks.append(drawn("circle", { cx: x, cy: y, r: 14 }));
      const name = drawn("text", { x: x + 18, y: y - 10 });
      name.textContent = mark.name;
      marks.append(name);
    }
  }

  function drawn(name, attributes) {
    const part = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) part.setAttribute(key, value);
    return part;
  }

  function describe(window) {
    const { times, timeNames, sliceNames, windowName, layouts, notes } = stack();
    const { axis, n, name, edges } = layout();
    const parts = [`slice ${state.plane + 1} of ${n}`];
    if (axis === 0 && sliceNames.length) parts.push(sliceNames[state.plane]);
    if (times > 1) parts.push(`${timeNames[state.time] || "time"} (${state.time + 1} of ${times})`);
    if (layouts.length > 1 || axis > 0) parts.push(name ? `${name} (axis ${axis})` : `axis ${axis}`);
    const number = (value) => String(Number(value.toPrecision(4)));
    parts.push(`${state.window ? "window" : windowName} ${number(window[0])} ± ${number(window[1] / 2)}`);
    element("caption").textContent = parts.join(" · ");
    element("title").textContent = stack().title;
    element("note").textContent = notes.length ? notes[0] + (notes.length > 1 ? ` (and ${notes.length - 1} more)` : "") : "";
    ["top", "bottom", "left", "right"].forEach((side, index) => (element(`edge-${side}`).textContent = edges[index]));
    element("slice").max = n - 1;
    element("slice").value = state.plane;
    element("time").value = state.time;
    for (const button of element("axes").children) button.setAttribute("aria-pressed", String(Number(button.value) === axis));
  }

  function buildControls() {
    element("series").value = state.number;
    element("time").max = stack().times - 1;
    element("time-label").hidden = stack().times === 1;
    element("slice-label").hidden = stack().layouts.every((one) => one.n === 1);
    element("axes").replaceChildren(
      ...(stack().layouts.length > 1 ? stack().layouts : []).map(({ axis, name }) => {
        const button = document.createElement("button");
        Object.assign(button, { type: "button", value: axis, textContent: name || `axis ${axis}` });
        button.addEventListener("click", () => across(axis));
        return button;
      }),
    );
  }

  // Over the end of a time point into the next, then into the next axis; false at either end of the walk.
  function step(by) {
    const next = { plane: state.plane + by, time: state.time, layout: state.layout };
    if (next.plane < 0 || next.plane >= layout().n) {
      next.time += by;
      if (next.time < 0 || next.time >= stack().times) {
        next.layout += by;
        if (next.layout < 0 || next.layout >= stack().layouts.length) return false;
        next.time = by > 0 ? 0 : stack().times - 1;
      }
      next.plane = by > 0 ? 0 : stack().layouts[next.layout].n - 1;
    }
    Object.assign(state, next);
    return true;
  }

  function walk(by) {
    if (voxels && step(by)) draw();
  }

  function inTime(by) {
    state.time = clamp(state.time + by, 0, stack().times - 1);
    draw();
  }

  function at(plane) {
    state.plane = clamp(plane, 0, layout().n - 1);
    draw();
  }

  function across(axis) {
    const number = stack().layouts.findIndex((one) => one.axis === axis);
    if (number < 0 || number === state.layout) return;
    state.layout = number;
    at(Math.floor(layout().n / 2));
  }

  function atNextMark() {
    const places = layout().marks.map((mark) => mark.plane).sort((one, other) => one - other);
    if (places.length) at(places.find((plane) => plane > state.plane) ?? places[0]);
  }

  function autoWindow() {
    const { rows, columns, rowStep, columnStep } = layout();
    const values = [];
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < columns; column++)
        values.push(voxels[planeOffset() + row * rowStep + column * columnStep]);
    const sorted = Float64Array.from(values.filter((stored) => stored || !stack().hasNan)).sort();
    if (!sorted.length) return;
    const at = (share) => stack().low + sorted[Math.round(share * (sorted.length - 1))] * stack().step;
    const [low, high] = [at(0.005), at(0.995)];
    state.window = [(low + high) / 2, high - low, "LINEAR_EXACT"];
    draw();
  }

  function toggleHelp() {
    element("help").hidden = !element("help").hidden;
    element("help-button").setAttribute("aria-expanded", String(!element("help").hidden));
  }

  const keys = {
    ArrowDown: () => walk(1),
    ArrowUp: () => walk(-1),
    ArrowRight: () => inTime(1),
    ArrowLeft: () => inTime(-1),
    Home: () => at(0),
    End: () => at(layout().n - 1),
    0: () => across(0),
    1: () => across(1),
    2: () => across(2),
    w: () => ((state.window = null), draw()),
    a: autoWindow,
    m: atNextMark,
    x: () => ((state.marks = !state.marks), draw()),
    n: () => open(Math.min(state.number + 1, stacks.length - 1)),
    p: () => open(Math.max(state.number - 1, 0)),
    h: toggleHelp,
  };
  document.addEventListener("keydown", (event) => {
    const typing = event.target instanceof HTMLSelectElement;
    if (event.ctrlKey || event.metaKey || event.altKey || typing || !Object.hasOwn(keys, event.key)) return;
    if (!voxels && !["n", "p", "h"].includes(event.key)) return; // nothing to move through yet
    event.preventDefault();
    keys[event.key]();
  });

  // A wheel's click is one slice; a touch pad sends many small steps, which add up to slices.
  let rolled = 0;
  element("stage").addEventListener("wheel", (event) => {
    event.preventDefault();
    const pixels = event.deltaY * (event.deltaMode === 0 ? 1 : 40);
    if (Math.abs(pixels) >= 40) return walk(Math.sign(pixels));
    rolled += pixels;
    if (Math.abs(rolled) >= 40) {
      walk(Math.sign(rolled));
      rolled = 0;
    }
  }, { passive: false });

  let drag = null;
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !voxels) return;
    canvas.setPointerCapture(event.pointerId);
    drag = { x: event.clientX, y: event.clientY, window: state.window || fileWindow() };
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const box = canvas.getBoundingClientRect();
    const right = (event.clientX - drag.x) / box.width;
    const up = (drag.y - event.clientY) / box.height;
    const [centre, width, kind] = drag.window;
    const smallest = kind === "LINEAR" ? 1 : 1e-38;
    const brighter = stack().inverted ? up : -up;
    state.window = [centre + brighter * width, Math.max(width * Math.exp(2 * right), smallest), kind];
    draw();
  });
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => (drag = null));

  element("series").addEventListener("change", (event) => {
    open(Number(event.target.value));
    event.target.blur();
  });
  element("slice").addEventListener("input", (event) => at(Number(event.target.value)));
  element("time").addEventListener("input", (event) => inTime(Number(event.target.value) - state.time));
  element("help-button").addEventListener("click", toggleHelp);
  addEventListener("resize", () => voxels && fit());
  open(0);
})();
