"""Sections are timed where a profiler is active, and cost nothing where none is."""

import time

import torch

from utils.engine.profiling import Profiler, section


def test_sections_add_up_to_the_whole():
    profiler = Profiler(torch.device("cpu"))
    profiler.start()
    try:
        for _ in range(2):
            with section("sleeping"):
                time.sleep(0.02)
            time.sleep(0.01)
    finally:
        profiler.stop()
    assert 0.04 <= profiler.seconds["sleeping"] < 0.2
    rows = dict(line.strip("| ").split(" | ")[:2] for line in profiler.table(2).splitlines()[2:])
    assert rows.keys() == {"sleeping", "the rest", "all"}
    values = {name: float(value) for name, value in rows.items()}
    assert abs(values["sleeping"] + values["the rest"] - values["all"]) < 0.2
    assert values["the rest"] >= 9


def test_without_a_profiler_nothing_is_counted():
    profiler = Profiler(torch.device("cpu"))
    with section("anything"):
        pass
    assert not profiler.seconds
