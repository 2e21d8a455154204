// The page: one time, one filter, and what shows them.

const element = (id) => document.getElementById(id);

class Report {
  constructor(facts, data) {
    this.facts = facts;
    this.data = data;
    this.time = 0;
    this.playing = false;
    this.filter = {
      threshold: facts.threshold,
      classes: facts.classes.map(() => true),
      person: () => true,
    };
    this.stepIndex = -1; // of the key frame whose steps are shown
    this.stepAt = 0;
    this.video = element("video");
    this.hasVideo = false;
    this.waiting = false;
    this.timeline = new Timeline(this);
    this.table = new Table(this);
    this.describe();
    this.nameRows();
    this.listClasses();
    this.listen();
    this.refilter();
  }

  describe() {
    const { facts, data } = this;
    element("name").textContent = facts.name;
    const { one, many, points } = facts.rows;
    const rows = data.person_number.length;
    const words = [one === "class" ? "" : `${rows} ${rows === 1 ? one : many}`,
      points, `${clockText(facts.end - facts.start, 1)} long`];
    if (facts.partial) words.push("stopped before the video's end");
    element("about").textContent = [...words, facts.film_note].filter((word) => word).join(" \u00b7 ");
    element("stage").style.aspectRatio = `${facts.width} / ${facts.height}`;
    element("stage").style.maxWidth = `calc(62vh * ${facts.width / facts.height})`;
    element("position").min = String(facts.start);
    element("position").max = String(facts.end);
    element("position").value = String(facts.start);
    element("threshold").max = String(facts.most);
    element("threshold").value = String(facts.threshold);
    for (const id of ["steps", "step-help"]) element(id).hidden = !facts.steps;
    if (facts.steps) element("step").max = String(facts.steps.steps - 1);
  }

  // The page's words for what its rows are; classes are chosen by the boxes of the classes.
  nameRows() {
    const { one, many } = this.facts.rows;
    const capital = (word) => word[0].toUpperCase() + word.slice(1);
    element("row-title").textContent = `${capital(many)} over time`;
    element("row-head").textContent = one === "class" ? "" : capital(one);
    element("row-word").textContent = capital(one);
    for (const id of ["row-filter", "person-help"]) element(id).hidden = one === "class";
    element("boxes").setAttribute("aria-label", one === "class" ? "" : `Boxes of ${many}`);
    element("table").setAttribute("aria-label", `Actions of ${many}; Enter jumps to one`);
    element("rows").setAttribute("aria-label",
      `A row for each ${one}, a bar for each action; the table lists the same`);
    if (one !== "person") element("stops").textContent = one === "class" ? "starts" : "frames";
    if (one === "class") element("back").setAttribute("aria-label", "Start before");
    if (one === "class") element("forth").setAttribute("aria-label", "Next start");
  }

  listClasses() {
    this.facts.classes.forEach((name, label) => {
      const [line, box, dot] = ["label", "input", "span"].map((tag) => document.createElement(tag));
      box.type = "checkbox";
      box.checked = true;
      box.addEventListener("change", () => {
        this.filter.classes[label] = box.checked;
        this.refilter();
      });
      dot.className = "dot";
      dot.style.background = classColor(label);
      line.append(box, dot, name);
      element("classes").append(line);
    });
  }

  chooseAll(isShown) {
    this.filter.classes.fill(isShown);
    for (const box of element("classes").querySelectorAll("input")) box.checked = isShown;
    this.refilter();
  }

  refilter() {
    const shown = spansShown(this.data, this.filter);
    this.timeline.fill(shown);
    this.table.fill(shown);
    const classes = this.filter.classes.filter((one) => one).length;
    element("class-count").textContent = `${classes} of ${this.filter.classes.length}`;
    element("threshold-text").textContent = this.filter.threshold.toFixed(2);
    element("count").textContent = `${shown.length} of ${this.data.span_start.length} actions`;
    this.redraw();
  }

  listen() {
    const on = (id, event, act) => element(id).addEventListener(event, act);
    on("play", "click", () => this.toggle());
    on("back", "click", () => this.moveKey(-1));
    on("forth", "click", () => this.moveKey(1));
    on("position", "input", (event) => this.seek(Number(event.target.value)));
    on("threshold", "input", (event) => this.setThreshold(Number(event.target.value)));
    on("person", "input", (event) => {
      this.filter.person = numberTest(event.target.value);
      this.refilter();
    });
    on("all", "click", () => this.chooseAll(true));
    on("none", "click", () => this.chooseAll(false));
    on("closer", "click", () => this.timeline.zoom(1.5, this.time));
    on("wider", "click", () => this.timeline.zoom(1 / 1.5, this.time));
    on("steps", "click", () => this.toggleSteps());
    on("step", "input", (event) => this.setStep(Number(event.target.value)));
    on("step-play", "click", () => this.moveSteps());
    on("video", "error", () => this.noVideo("This browser cannot play the video; boxes and times are right."));
    on("video", "loadedmetadata", () => { this.hasVideo = true; this.showFrame(); });
    on("video", "seeked", () => { this.waiting = false; this.showFrame(); });
    on("video", "ended", () => this.pause());
    window.addEventListener("resize", () => this.redraw());
    document.addEventListener("keydown", (event) => this.key(event));
  }

  key(event) {
    const tag = event.target.tagName;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (tag === "INPUT" && (event.target.type === "search" || event.key.startsWith("Arrow"))) return;
    if ((tag === "BUTTON" || tag === "INPUT" || tag === "SUMMARY") && event.key === " ") return;
    const acts = {
      " ": () => this.toggle(),
      ArrowLeft: () => (event.shiftKey ? this.seek(this.time - 5) : this.moveKey(-1)),
      ArrowRight: () => (event.shiftKey ? this.seek(this.time + 5) : this.moveKey(1)),
      "[": () => this.setThreshold(this.filter.threshold - 0.05),
      "]": () => this.setThreshold(this.filter.threshold + 0.05),
      s: () => this.toggleSteps(),
      "+": () => this.timeline.zoom(1.5, this.time),
      "-": () => this.timeline.zoom(1 / 1.5, this.time),
    };
    if (!(event.key in acts)) return;
    event.preventDefault();
    acts[event.key]();
  }

  setThreshold(value) {
    this.filter.threshold = Math.min(Math.max(Math.round(100 * value) / 100, 0), this.facts.most);
    element("threshold").value = String(this.filter.threshold);
    this.refilter();
  }

  // Goes to a time [s] and shows it at once; the video's picture follows.
  seek(time) {
    this.time = Math.min(Math.max(time, this.facts.start), this.facts.end);
    this.timeline.follow(this.time);
    this.showFrame();
    this.redraw();
  }

  // Asks the video for the picture of the time, one at a time: a new wish waits for the last.
  showFrame() {
    if (!this.hasVideo || this.waiting || this.playing) return;
    const last = Number.isFinite(this.video.duration) ? this.video.duration - 0.001 : Infinity;
    const wanted = Math.min(this.time - this.facts.start + 0.001, Math.max(last, 0));
    if (Math.abs(this.video.currentTime - wanted) < 1e-4) return;
    this.waiting = true;
    this.video.currentTime = wanted;
  }

  moveKey(by) {
    if (this.stepIndex >= 0) {
      this.showSteps(this.stepIndex + by);
      return;
    }
    const times = this.data.key_time;
    const at = lastUpTo(times, this.time + 1e-4);
    const isBetween = at >= 0 && this.time - times[at] > 1e-3;
    const to = by < 0 && isBetween ? at : at + by;
    this.seek(times[Math.min(Math.max(to, 0), times.length - 1)]);
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  play() {
    if (this.stepIndex >= 0) this.toggleSteps();
    if (this.time >= this.facts.end - 0.05) this.seek(this.facts.start);
    this.playing = true;
    element("play").textContent = "Pause";
    this.began = performance.now() - 1000 * this.time;
    if (this.hasVideo) {
      this.video.currentTime = this.time - this.facts.start;
      this.video.play().catch(() => this.pause());
    }
    requestAnimationFrame(() => this.tick());
  }

  pause() {
    this.playing = false;
    element("play").textContent = "Play";
    if (this.hasVideo) this.video.pause();
    this.redraw();
  }

  tick() {
    if (!this.playing) return;
    const clock = (performance.now() - this.began) / 1000;
    const time = this.hasVideo ? this.facts.start + this.video.currentTime : clock;
    this.time = Math.min(time, this.facts.end);
    this.timeline.follow(this.time);
    this.draw();
    if (this.time >= this.facts.end) this.pause();
    else requestAnimationFrame(() => this.tick());
  }

  toggleSteps() {
    if (!this.facts.steps) return;
    const shows = this.stepIndex < 0;
    element("steps").setAttribute("aria-pressed", String(shows));
    element("step-bar").hidden = !shows;
    if (shows) {
      if (this.playing) this.pause();
      const times = Array.from(this.data.step_key, (key) => this.data.key_time[key]);
      this.showSteps(Math.max(lastUpTo(times, this.time + 1e-4), 0));
    } else {
      this.stepIndex = -1;
      this.redraw();
    }
  }

  showSteps(index) {
    this.stepIndex = Math.min(Math.max(index, 0), this.data.step_key.length - 1);
    this.seek(this.data.key_time[this.data.step_key[this.stepIndex]]);
    this.moveSteps();
  }

  // A step that the user chooses ends the boxes' movement, which would move on from there.
  setStep(value) {
    this.moving = null;
    this.placeStep(value);
  }

  placeStep(value) {
    this.stepAt = value;
    element("step").value = String(value);
    this.redraw();
  }

  // Moves the boxes from the proposals to the last step, most of a second for each step.
  moveSteps() {
    const most = this.facts.steps.steps - 1;
    const began = performance.now();
    this.moving = began;
    const move = () => {
      if (this.moving !== began || this.stepIndex < 0) return;
      const at = (performance.now() - began) / 900;
      const eased = Math.min(Math.floor(at) + Math.min((at % 1) * 1.6, 1), most);
      this.placeStep(eased);
      if (eased < most) requestAnimationFrame(move);
    };
    move();
  }

  // Who is where at a time [s]: for scripts that read the page.
  personsAt(time) {
    return personsAt(this.data, time).map(({ person, box }) => (
      { number: this.data.person_number[person], box }));
  }

  noVideo(why) {
    this.hasVideo = false;
    element("trouble").textContent = why;
    element("trouble").hidden = false;
  }

  redraw() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => { this.asked = false; this.draw(); });
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = element("stage");
    const parts = [element("boxes"), width, height, this.data, this.facts, this.filter];
    if (this.stepIndex >= 0) {
      const found = drawSteps(...parts, this.stepIndex, this.stepAt);
      element("step-text").textContent = this.stepText(found);
    } else {
      this.personsShown = drawPersons(...parts, this.time);
    }
    this.rowsDrawn = this.timeline.draw(this.time);
    this.table.draw();
    element("position").value = String(this.time);
    element("clock").textContent = `${clockText(this.time, 1)} / ${clockText(this.facts.end, 1)}`;
  }

  stepText(found) {
    const { steps, tubes } = this.facts.steps;
    const at = Math.round(this.stepAt);
    const name = at === 0 ? "proposals" : `step ${at} of ${steps - 1}`;
    return `${name}: ${tubes} boxes; ${found} end above ${this.filter.threshold.toFixed(2)}`;
  }

  openVideo() {
    const film = element("film").textContent.trim();
    if (film) this.video.src = URL.createObjectURL(new Blob([bytesOf(film)], { type: "video/mp4" }));
    else if (this.facts.film) this.video.src = encodeURIComponent(this.facts.film);
    else this.noVideo("There is no video in this report.");
  }
}

const facts = JSON.parse(element("facts").textContent);
facts.classes = facts.classes.map(plain);
facts.name = plain(facts.name);
const columns = readColumns(facts.columns, bytesOf(element("block").textContent));
const report = new Report(facts, { ...columns, most: facts.most });
window.report = report;
setTimeout(() => report.openVideo(), 0);
