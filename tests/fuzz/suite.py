"""Which trials make a suite, and running them in several processes."""

from __future__ import annotations

import fnmatch
import multiprocessing
import os
import runpy
import time
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from pathlib import Path

from tests.fuzz.report import format_fault
from tests.fuzz.scenarios import all_scenarios
from tests.fuzz.trial import FAULTS, Base, Done, run_trial
from tests.helpers import ROOT

SCRIPTS = (
    "train.py", "test.py", "demo.py", "scripts/analyze.py", "scripts/check_data.py",
    "scripts/convert_labels.py", "scripts/extract_clips.py", "scripts/generate_label.py",
    "scripts/get_weights.py", "scripts/make_toy_dataset.py", "scripts/overfit.py",
    "scripts/convert_tubes.py", "scripts/extract_frames.py", "scripts/extract_flow.py",
    "scripts/ssn/convert_lists.py", "scripts/ssn/evaluate.py", "scripts/ssn/extract.py",
    "scripts/ssn/proposals.py", "scripts/ssn/sanity.py", "scripts/ssn/score_actionness.py",
    "scripts/ssn/bundle.py", "scripts/export_results.py", "scripts/hard_examples.py",
)  # fmt: skip


def load_commands() -> None:
    """Import what the commands import, once, and without threads: forked processes lose them."""
    os.environ["OMP_NUM_THREADS"] = "1"
    import cv2
    import torch

    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    for script in SCRIPTS:
        runpy.run_path(str(ROOT / script), run_name="loaded")
    import torch._inductor  # which training and loading a checkpoint import when they need it
    import torch.utils.tensorboard


def plan(trials: int, pattern: str = "*") -> dict[str, int]:
    """How many trials each reader gets: by its scenario's weight, one at least."""
    weights = {}
    for scenario in all_scenarios().values():
        for reader in scenario.readers():
            if fnmatch.fnmatch(reader, pattern):
                part = reader.partition(":")[2]
                share = {"special": 0.5, "options": 3.0}.get(part, 1.0)
                weights[reader] = scenario.weight * share
    total = sum(weights.values())
    return {name: max(1, round(trials * weight / total)) for name, weight in weights.items()}


def run_suite(
    trials: dict[str, int], seed: int, folder: Path, jobs: int, seconds: float
) -> list[Done]:
    """Run all trials, a scenario's in one process; begin none after so many seconds."""
    deadline = time.monotonic() + seconds
    by_scenario: dict[str, dict[str, int]] = defaultdict(dict)
    for reader, count in trials.items():
        by_scenario[reader.partition(":")[0]][reader] = count
    tasks = list(by_scenario.items())
    work = partial(_run_scenario, seed=seed, folder=folder, deadline=deadline)
    done: list[Done] = []
    # Not a multiprocessing.Pool: its processes may have no children, and commands start some.
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("fork")) as pool:
        for part in as_completed([pool.submit(work, task) for task in tasks]):
            done += part.result()
    return done


def _run_scenario(
    task: tuple[str, dict[str, int]], seed: int, folder: Path, deadline: float
) -> list[Done]:
    name, readers = task
    started = time.monotonic()
    done: list[Done] = []
    try:
        base = Base(all_scenarios()[name], folder / name)
        base.results()
    except AssertionError as error:
        print(f"{name}: THE UNCHANGED INPUT IS REFUSED, no trial was run:\n{error}", flush=True)
        return done
    for reader, count in readers.items():
        for number in range(count):
            if time.monotonic() < deadline:
                work = folder / name / "trial"
                done.append(Done(reader, number, run_trial(base, reader, number, seed, work)))
                if done[-1].outcome.verdict in FAULTS:
                    print(format_fault(done[-1], seed), flush=True)
    print(f"{name}: {len(done)} trials in {time.monotonic() - started:.0f} s", flush=True)
    return done
