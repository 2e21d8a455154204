"""How fast a report's page loads and moves: `python -m benchmarks.report_page [--persons N]`.

Makes a page of a long video with many persons, without a film, opens it in a headless Chromium and
prints the time until everything is drawn, and how many times a second it is drawn anew at places
all over the video while somebody scrubs: boxes, timeline and table together.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.browser import find_chromium, open_browser
from utils.reporting.action_spans import person_histories
from utils.reporting.person_files import VideoPersons
from utils.reporting.person_track import KeyFrame
from utils.reporting.persons import Person
from utils.reporting.report.page import write_report

RATE, CLASSES, SEEKS = 4, 60, 100
SCRUB = f"""(async () => {{
  const began = performance.now();
  for (let i = 0; i < {SEEKS}; i += 1) {{
    report.seek(report.facts.duration * ((i * 0.618034) % 1));
    await new Promise(requestAnimationFrame);
  }}
  return {SEEKS} * 1000 / (performance.now() - began);
}})()"""
DRAW = f"""(() => {{
  const began = performance.now();
  for (let i = 0; i < {SEEKS}; i += 1) {{
    report.time = report.facts.duration * ((i * 0.618034) % 1);
    report.draw();
  }}
  return (performance.now() - began) / {SEEKS};
}})()"""


def make_video(seconds: int, persons: int, length: float) -> VideoPersons:
    """A video in which each person is seen for about `length` seconds, and does several things."""
    random = np.random.default_rng(0)
    starts = np.sort(random.uniform(0, seconds - length, persons))
    ends = starts + random.uniform(0.5, 1.5, persons) * length
    places = random.uniform(0, 1700, persons)
    actions = random.integers(0, CLASSES, (persons, 3))
    keys = []
    for k in range(RATE * seconds):
        now, found = k / RATE, []
        for i in np.flatnonzero((starts <= now) & (now < ends)).tolist():
            x = places[i] + 60 * np.sin(now / 3 + i)
            labels = [(int(c), 0.45 + 0.5 * float(random.random())) for c in set(actions[i])]
            kept = [label for label in labels if (now / 10 + label[0]) % 3 < 2]
            found.append(Person((x, 300.0, x + 150, 800.0), kept, i + 1))
        keys.append(KeyFrame(k * 6, now, found))
    return VideoPersons("an hour", 1080, 1920, 25.0, keys, end=float(seconds))


def cpu_seconds(root: int) -> float:
    """CPU time [s] of a process and of all below it that still run."""
    parents, times = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:  # it has ended
            continue
        number = int(stat.parent.name)
        parents[number] = int(fields[1])
        times[number] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    total = 0.0
    for number, spent in times.items():
        ancestor = number
        while ancestor not in (root, 0, 1):
            ancestor = parents.get(ancestor, 0)
        total += spent if ancestor == root else 0
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--persons", type=int, default=500)
    parser.add_argument("--seconds", type=int, default=3600)
    parser.add_argument("--length", type=float, default=120, help="seconds that a person is seen")
    parser.add_argument("--screenshot", type=Path)
    arguments = parser.parse_args()
    program = find_chromium()
    if program is None:
        sys.exit("there is no Chromium on PATH")
    video = make_video(arguments.seconds, arguments.persons, arguments.length)
    histories = person_histories(video.key_frames, video.end)
    rows = sum(len(key.persons) for key in video.key_frames)
    spans = sum(len(history.spans) for history in histories)
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "page.html")
        names = [f"action {i}" for i in range(CLASSES)]
        write_report(page, video, histories, names, 0.4)
        size = page.stat().st_size / 1e6
        print(f"{arguments.persons} persons, {rows} boxes, {spans} actions: {size:.1f} MB")
        with open_browser(program, Path(folder, "profile")) as browser:
            began = time.perf_counter()
            browser.open(page.as_uri())
            browser.wait("window.report && report.rowsDrawn !== undefined")
            print(f"loaded and drawn after {time.perf_counter() - began:.2f} s")
            before = cpu_seconds(browser.process_id)
            rate = browser.run(SCRUB)
            spent = 1000 * (cpu_seconds(browser.process_id) - before) / SEEKS
            print(f"scrubbing: {rate:.0f} frames a second, {spent:.1f} ms of CPU time a frame")
            print(f"drawing alone: {browser.run(DRAW):.2f} ms a frame")
            print(f"problems: {browser.problems or 'none'}")
            if arguments.screenshot:
                browser.screenshot(arguments.screenshot)


if __name__ == "__main__":
    main()
