// The timeline: a row for each person (tube, class), a lane for each of its actions, bars on a canvas.
// Only the rows in sight are drawn.

const LANE = 15;
const LEFT = 78;
const AXIS = 22;

class Timeline {
  constructor(report) {
    this.report = report;
    this.area = document.getElementById("rows");
    this.space = document.getElementById("rows-space");
    this.canvas = document.getElementById("bars");
    this.mark = document.getElementById("mark");
    this.first = report.facts.start;
    this.last = Math.max(report.facts.end, this.first + 0.1);
    [this.from, this.to] = [this.first, this.last];
    this.area.addEventListener("scroll", () => report.redraw());
    this.canvas.addEventListener("click", (event) => this.click(event));
    this.area.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
  }

  // Rows of the spans shown, by person: each has a lane for each class.
  fill(shown) {
    const { data } = this.report;
    this.rows = [];
    this.tops = [];
    this.sight = "";
    let top = 0;
    for (const { person, span } of shown) {
      let row = this.rows[this.rows.length - 1];
      if (!row || row.person !== person) {
        row = { person, lanes: new Map(), spans: [] };
        this.rows.push(row);
      }
      const label = data.span_class[span];
      if (!row.lanes.has(label)) row.lanes.set(label, row.lanes.size);
      row.spans.push(span);
    }
    for (const row of this.rows) {
      this.tops.push(top);
      top += LANE * row.lanes.size + 7;
    }
    this.space.style.height = `${top + AXIS}px`;
  }

  x(time) {
    return LEFT + ((time - this.from) / (this.to - this.from)) * (this.width - LEFT - 8);
  }

  time(x) {
    return this.from + ((x - LEFT) / (this.width - LEFT - 8)) * (this.to - this.from);
  }

  // Shows the time; bars are drawn anew only where something else than the time has changed.
  draw(now) {
    this.width = this.area.clientWidth;
    this.height = this.area.clientHeight;
    const sight = [this.width, this.height, this.area.scrollTop, this.from, this.to].join();
    if (sight !== this.sight) {
      this.sight = sight;
      this.rowsDrawn = this.drawBars(this.area.scrollTop);
    }
    const x = this.x(now);
    this.mark.style.transform = `translateX(${x - 1}px)`;
    this.mark.style.visibility = x >= LEFT && x <= this.width ? "visible" : "hidden";
    return this.rowsDrawn;
  }

  drawBars(scroll) {
    const { report } = this;
    const context = prepare(this.canvas, this.width, this.height);
    let drawn = 0;
    for (let i = Math.max(lastUpTo(this.tops, scroll), 0); i < this.rows.length; i += 1) {
      const y = this.tops[i] - scroll + AXIS;
      if (y > this.height) break;
      this.drawRow(context, this.rows[i], y);
      drawn += 1;
    }
    this.drawAxis(context);
    if (!this.rows.length) {
      context.fillStyle = "#b3bcc8";
      const all = report.data.person_number.length;
      context.fillText(all ? "No action passes the filters." : `No ${report.facts.rows.many} were found.`, LEFT, 50);
    }
    return drawn;
  }

  drawRow(context, row, y) {
    const { data, facts } = this.report;
    const number = data.person_number[row.person];
    context.fillStyle = "#2a313c";
    context.fillRect(0, y + LANE * row.lanes.size + 3, this.width, 1);
    for (const span of row.spans) {
      const label = data.span_class[span];
      const [x1, x2] = [this.x(data.span_start[span]), this.x(data.span_end[span])];
      if (x2 < LEFT || x1 > this.width) continue;
      const top = y + LANE * row.lanes.get(label);
      const [left, right] = [Math.max(x1, LEFT), Math.min(Math.max(x2, x1 + 2), this.width)];
      context.globalAlpha = data.span_score[span] / 255;
      context.fillStyle = classColor(label);
      context.fillRect(left, top, Math.max(right - left, 2), LANE - 2);
      context.globalAlpha = 1;
      if (right - left > 40) this.drawName(context, facts.classes[label], left, top, right - left);
    }
    context.fillStyle = rowColor(facts, number);
    context.fillText(shortened(context, rowName(facts, number), LEFT - 10), 6, y + LANE / 2);
  }

  drawName(context, name, x, y, width) {
    context.save();
    context.beginPath();
    context.rect(x, y, width, LANE - 2);
    context.clip();
    context.font = "11px system-ui, 'DejaVu Sans', sans-serif";
    context.lineWidth = 3;
    context.strokeStyle = "#0c0e12";
    context.strokeText(name, x + 4, y + LANE / 2 - 1);
    context.fillStyle = "#fff";
    context.fillText(name, x + 4, y + LANE / 2 - 1);
    context.restore();
  }

  drawAxis(context) {
    context.fillStyle = "#1b2027";
    context.fillRect(0, 0, this.width, AXIS - 3);
    context.fillStyle = "#dfe5ec";
    const least = (this.to - this.from) / Math.max((this.width - LEFT) / 90, 1);
    const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200];
    const step = steps.find((one) => one >= least) || 3600 * Math.ceil(least / 3600);
    for (let i = Math.ceil(this.from / step); i * step <= this.to; i += 1) {
      context.fillText(clockText(i * step, step < 1 ? 1 : 0), this.x(i * step) + 3, AXIS / 2 - 1);
      context.fillRect(this.x(i * step), 0, 1, AXIS - 3);
    }
    const { data } = this.report;
    context.fillStyle = "#ffb454";
    for (const cut of data.key_cut) {
      if (cut >= this.from && cut <= this.to) context.fillRect(this.x(cut), 0, 1, this.height);
    }
  }

  // The bar under the pointer, or `undefined`.
  barAt(x, y) {
    const { data } = this.report;
    const inside = y - AXIS + this.area.scrollTop;
    const row = this.rows[lastUpTo(this.tops, inside)];
    if (!row || y < AXIS) return undefined;
    const lane = Math.floor((inside - this.tops[this.rows.indexOf(row)]) / LANE);
    const time = this.time(x);
    const slack = this.time(x + 3) - time;
    return row.spans.find((span) => row.lanes.get(data.span_class[span]) === lane
      && data.span_start[span] - slack <= time && time <= data.span_end[span] + slack);
  }

  click(event) {
    const { left, top } = this.canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - left, event.clientY - top];
    const bar = this.barAt(x, y);
    if (bar !== undefined) this.report.seek(this.report.data.span_start[bar]);
    else if (x >= LEFT) this.report.seek(this.time(x));
  }

  wheel(event) {
    if (!event.ctrlKey && !event.shiftKey) return;
    event.preventDefault();
    const { left } = this.canvas.getBoundingClientRect();
    if (event.ctrlKey) this.zoom(event.deltaY < 0 ? 1.25 : 0.8, this.time(event.clientX - left));
    else this.move(((event.deltaY || event.deltaX) > 0 ? 0.1 : -0.1) * (this.to - this.from));
  }

  zoom(factor, around) {
    const span = (this.to - this.from) / factor;
    const length = Math.min(Math.max(span, 0.5), this.last - this.first);
    const share = (around - this.from) / (this.to - this.from);
    this.from = around - share * length;
    this.to = this.from + length;
    this.move(0);
  }

  // Moves what is in sight by `by` seconds, and into the video.
  move(by) {
    const length = this.to - this.from;
    this.from = Math.max(Math.min(this.from + by, this.last - length), this.first);
    this.to = this.from + length;
    this.report.redraw();
  }

  follow(time) {
    if (time < this.from || time > this.to) {
      const length = this.to - this.from;
      this.from = Math.max(time - length / 10, this.first);
      this.to = this.from + length;
    }
  }
}
