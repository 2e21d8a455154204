// Pictures over the video: boxes of persons, or of the detector's steps.

const FONT = "13px system-ui, 'DejaVu Sans', sans-serif";

// A canvas as sharp as the screen; returns its context, in CSS pixels, and its size.
function prepare(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.font = FONT;
  context.textBaseline = "middle";
  return context;
}

function strokeBox(context, box, width, height, color, line, alpha) {
  const [x1, y1, x2, y2] = [box[0] * width, box[1] * height, box[2] * width, box[3] * height];
  context.globalAlpha = alpha;
  context.strokeStyle = "#000";
  context.lineWidth = line + 2;
  context.strokeRect(x1, y1, x2 - x1, y2 - y1);
  context.strokeStyle = color;
  context.lineWidth = line;
  context.strokeRect(x1, y1, x2 - x1, y2 - y1);
  context.globalAlpha = 1;
}

const widths = new Map();

function textWidth(context, text) {
  if (!widths.has(text)) {
    if (widths.size > 20000) widths.clear();
    widths.set(text, context.measureText(text).width);
  }
  return widths.get(text);
}

// The text, or as much of its beginning as fits.
function shortened(context, text, width) {
  let end = text.length;
  while (end > 1 && textWidth(context, text.slice(0, end)) > width) end -= 1;
  return end < text.length ? `${text.slice(0, end - 1)}\u2026` : text;
}

// Lines of text on a dark ground at (x, y), moved into the picture.
function drawLines(context, lines, x, y, width, height, color) {
  const wide = Math.max(...lines.map((line) => textWidth(context, line))) + 10;
  const left = Math.min(Math.max(x, 0), Math.max(width - wide, 0));
  const top = Math.min(Math.max(y, 0), Math.max(height - 18 * lines.length, 0));
  context.fillStyle = "rgb(10 12 16 / 0.82)";
  context.fillRect(left, top, wide, 18 * lines.length);
  context.fillStyle = color;
  context.fillRect(left, top, 3, 18 * lines.length);
  context.fillStyle = "#fff";
  lines.forEach((line, i) => context.fillText(line, left + 6, top + 18 * i + 9));
}

function drawPersons(canvas, width, height, data, facts, filter, time) {
  const context = prepare(canvas, width, height);
  let count = 0;
  for (const one of personsAt(data, time)) {
    const number = data.person_number[one.person];
    const labels = labelsOf(data, one.row, filter);
    if (!labels.length || !filter.person(number)) continue;
    count += 1;
    const color = personColor(number);
    strokeBox(context, one.box, width, height, color, 2, 1);
    const words = labels.map(([label, score]) => `${facts.classes[label]} ${score.toFixed(2)}`);
    const lines = [rowName(facts, number), ...words];
    const y = one.box[1] * height - 18 * lines.length;
    drawLines(context, lines, one.box[0] * width, y, width, height, color);
  }
  return count;
}

// The boxes on their way: `position` 0 is the proposals, 1 the first step, and so on; in between
// every box moves on a line. Those whose last score is high enough have colour.
function drawSteps(canvas, width, height, data, facts, filter, index, position) {
  const context = prepare(canvas, width, height);
  const { steps, tubes } = facts.steps;
  const lower = Math.min(Math.floor(position), steps - 2);
  const share = position - lower;
  const order = [];
  for (let tube = 0; tube < tubes; tube += 1) {
    const last = (index * steps + steps - 1) * tubes + tube;
    order.push([data.step_score[last] / 255, data.step_class[last], tube]);
  }
  order.sort((a, b) => a[0] - b[0]);
  let found = 0;
  for (const [score, label, tube] of order) {
    const from = 4 * ((index * steps + lower) * tubes + tube);
    const to = from + 4 * tubes;
    const box = [0, 1, 2, 3].map(
      (i) => ((1 - share) * data.step_box[from + i] + share * data.step_box[to + i]) / 65535,
    );
    const isFound = score >= filter.threshold && filter.classes[label];
    found += isFound ? 1 : 0;
    const color = isFound ? classColor(label) : "#cfd6e0";
    strokeBox(context, box, width, height, color, isFound ? 2 : 1, isFound ? 1 : 0.35);
  }
  return found;
}
