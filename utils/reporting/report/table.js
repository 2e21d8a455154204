// The table of actions; only the rows in sight are in the document.

const ROW = 26;

class Table {
  constructor(report) {
    this.report = report;
    this.area = document.getElementById("table");
    this.space = document.getElementById("table-space");
    this.pool = [];
    this.chosen = -1;
    this.area.addEventListener("scroll", () => this.draw());
    this.area.addEventListener("keydown", (event) => this.key(event));
  }

  fill(shown) {
    const { data } = this.report;
    this.rows = shown.slice().sort((a, b) => data.span_start[a.span] - data.span_start[b.span]);
    this.sight = "";
    this.chosen = Math.min(this.chosen, this.rows.length - 1);
    this.space.style.height = `${ROW * this.rows.length}px`;
    this.area.setAttribute("aria-rowcount", String(this.rows.length));
  }

  draw() {
    const now = this.report.time;
    const sight = [this.area.scrollTop, this.area.clientHeight].join();
    const isSame = sight === this.sight;
    this.sight = sight;
    const first = Math.max(Math.floor(this.area.scrollTop / ROW) - 2, 0);
    const count = Math.min(Math.ceil(this.area.clientHeight / ROW) + 4, this.rows.length - first);
    while (this.pool.length < count) this.pool.push(this.makeRow());
    this.pool.forEach((row, i) => {
      if (!isSame) row.style.display = i < count ? "" : "none";
      if (i >= count) return;
      if (!isSame) this.show(row, first + i);
      this.mark(row, first + i, now);
    });
  }

  makeRow() {
    const row = document.createElement("div");
    row.className = "row";
    row.setAttribute("role", "row");
    for (let i = 0; i < 5; i += 1) {
      const cell = document.createElement("span");
      cell.setAttribute("role", "gridcell");
      row.append(cell);
    }
    row.addEventListener("click", () => this.choose(Number(row.dataset.index)));
    this.space.append(row);
    return row;
  }

  mark(row, index, now) {
    const { data } = this.report;
    const { span } = this.rows[index];
    row.classList.toggle("now", data.span_start[span] <= now && now < data.span_end[span]);
    row.classList.toggle("chosen", index === this.chosen);
  }

  show(row, index) {
    const { data, facts } = this.report;
    const { person, span } = this.rows[index];
    const [start, end] = [data.span_start[span], data.span_end[span]];
    const label = data.span_class[span];
    const number = data.person_number[person];
    const texts = [facts.rows.one === "class" ? "\u25a0" : number, facts.classes[label], clockText(start, 1),
      clockText(end, 1), (data.span_score[span] / 255 * data.most).toFixed(2)];
    texts.forEach((text, i) => { row.children[i].textContent = text; });
    row.children[0].style.color = rowColor(facts, number);
    row.children[1].style.color = classColor(label);
    row.children[1].title = facts.classes[label];
    row.style.top = `${ROW * index}px`;
    row.dataset.index = String(index);
    row.id = `row-${index}`;
    row.setAttribute("aria-rowindex", String(index + 1));
  }

  choose(index) {
    this.chosen = index;
    this.area.setAttribute("aria-activedescendant", `row-${index}`);
    const [top, height] = [this.area.scrollTop, this.area.clientHeight];
    if (ROW * index < top) this.area.scrollTop = ROW * index;
    if (ROW * (index + 1) > top + height) this.area.scrollTop = ROW * (index + 1) - height;
    this.report.seek(this.report.data.span_start[this.rows[index].span]);
  }

  key(event) {
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 };
    const last = this.rows.length - 1;
    let to = null;
    if (event.key in moves) to = this.chosen + moves[event.key];
    else if (event.key === "Home") to = 0;
    else if (event.key === "End") to = last;
    else if (event.key === "Enter") to = this.chosen;
    if (to === null || last < 0) return;
    event.preventDefault();
    event.stopPropagation();
    this.choose(Math.min(Math.max(to, 0), last));
  }
}
