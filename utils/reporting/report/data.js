// What the page knows: facts as JSON, and columns of numbers in one block of bytes.

const TYPES = { f4: Float32Array, u4: Uint32Array, u2: Uint16Array, u1: Uint8Array };

function bytesOf(base64) {
  const text = atob(base64.trim());
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i += 1) bytes[i] = text.charCodeAt(i);
  return bytes;
}

// The columns by name, as typed arrays over the same bytes.
function readColumns(layout, bytes) {
  const columns = {};
  for (const [name, [type, offset, count]] of Object.entries(layout)) {
    columns[name] = new TYPES[type](bytes.buffer, bytes.byteOffset + offset, count);
  }
  return columns;
}

// The last index whose value is at most `value`; -1 without one. Values ascend.
function lastUpTo(values, value) {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

function boxOfRow(data, row) {
  const at = 4 * row;
  return [0, 1, 2, 3].map((i) => data.row_box[at + i] / 65535);
}

// The persons at a time: `{person, row, box}`, boxes as fractions. As in the drawn video: a person
// of two key frames moves on a line, one of a single key frame is shown while that is nearer, and
// nobody crosses a cut.
function personsAt(data, time) {
  const last = data.key_time.length - 1;
  if (last < 0) return [];
  const before = Math.max(lastUpTo(data.key_time, time), 0);
  const after = Math.min(before + 1, last);
  const span = data.key_time[after] - data.key_time[before];
  const weight = span > 0 ? Math.min(Math.max((time - data.key_time[before]) / span, 0), 1) : 0;
  const cut = after > before ? data.key_cut[after] : NaN;
  if (!Number.isNaN(cut)) return rowsOf(data, time < cut ? before : after);
  if (after === before || weight === 0) return rowsOf(data, before);
  const nearer = weight < 0.5 ? before : after;
  const other = new Map();
  for (const one of rowsOf(data, nearer === before ? after : before)) other.set(one.person, one.box);
  const share = nearer === before ? weight : 1 - weight;
  return rowsOf(data, nearer).map((one) => {
    const to = other.get(one.person);
    const box = to ? one.box.map((v, i) => (1 - share) * v + share * to[i]) : one.box;
    return { person: one.person, row: one.row, box };
  });
}

function rowsOf(data, key) {
  const found = [];
  for (let row = data.key_row[key]; row < data.key_row[key + 1]; row += 1) {
    found.push({ person: data.row_person[row], row, box: boxOfRow(data, row) });
  }
  return found;
}

// The labels of a row that the filter lets through: `[class, score]`, best first.
function labelsOf(data, row, filter) {
  const labels = [];
  for (let i = data.row_label[row]; i < data.row_label[row + 1]; i += 1) {
    const label = data.label_class[i];
    const score = data.label_score[i] / 255 * data.most;
    if (score >= filter.threshold && filter.classes[label]) labels.push([label, score]);
  }
  return labels;
}

// The actions that the filter lets through, by person, then by start: indices into the spans.
function spansShown(data, filter) {
  const shown = [];
  for (let person = 0; person < data.person_number.length; person += 1) {
    if (!filter.person(data.person_number[person])) continue;
    for (let i = data.person_span[person]; i < data.person_span[person + 1]; i += 1) {
      if (data.span_score[i] / 255 * data.most >= filter.threshold && filter.classes[data.span_class[i]]) {
        shown.push({ person, span: i });
      }
    }
  }
  return shown;
}

// `1, 4-7` as a test of numbers; an empty text lets all through, nonsense none.
function numberTest(text) {
  const parts = text.split(/[\s,;]+/).filter((part) => part);
  if (!parts.length) return () => true;
  const ranges = parts.map((part) => /^(\d+)(?:-(\d+))?$/.exec(part)).filter((match) => match)
    .map((match) => [Number(match[1]), Number(match[2] || match[1])]);
  return (number) => ranges.some(([low, high]) => low <= number && number <= high);
}

function clockText(seconds, digits) {
  const scale = 10 ** (digits || 0);
  const whole = Math.round(seconds * scale) / scale;
  const minutes = Math.floor(whole / 60);
  const rest = (whole - 60 * minutes).toFixed(digits || 0).padStart(digits ? 3 + digits : 2, "0");
  if (minutes < 60) return `${minutes}:${rest}`;
  return `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${rest}`;
}

// Control characters and such that turn the direction of a text are shown as a box.
function plain(text) {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, "\u25a1");
}

// Successive hues lie a golden section of the circle apart: any few of them differ well.
function hueOf(number) {
  return (360 * ((0.04 + 0.618034 * number) % 1)).toFixed(0);
}

function personColor(number) {
  return `hsl(${hueOf(number)} 90% 66%)`;
}

function classColor(label) {
  return `hsl(${hueOf(label + 0.5)} 75% 62%)`;
}

// A row is a person or a tube with its number, or a class with its name.
function rowName(facts, number) {
  return facts.rows.one === "class" ? facts.classes[number] : `${facts.rows.one} ${number}`;
}

function rowColor(facts, number) {
  return facts.rows.one === "class" ? classColor(number) : personColor(number);
}
