"""The benchmarks run and report what they measured; how fast anything is, no test says."""

import argparse
import subprocess
import sys

import pytest

from benchmarks import ava_evaluation, operators, steps
from benchmarks.report import Row, digits, spread
from tests.helpers import ROOT
from tests.ops_helpers import needs_compiled


def rows(module, *arguments: str) -> list[Row]:
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    return list(module.rows(parser.parse_args(arguments)))


def test_a_row_says_how_many_times_as_fast():
    row = Row("it", "ms", [1.0, 2.0, 4.0], [30.0, 10.0, 20.0], "that", goal="2", also="so")
    assert row.ratio == 10
    assert str(row) == "| it | 2 ms (1.5 to 3) | 20 ms (15 to 25) | that | 10 | 2 | so |"


def test_digits():
    assert [digits(x) for x in (0.01234, 12.34, 1234.5)] == ["0.0123", "12.3", "1,234"]
    assert spread([5.0], "s") == "5 s"


def test_the_evaluation_beside_its_yardsticks():
    sizes = ["--rows", "300", "3000", "--plain-rows", "300", "--repeats", "1"]
    found = rows(ava_evaluation, *sizes, "--protocol", "2018")
    assert [row.against for row in found] == [
        "the rules as plain loops",
        "csv.reader, nothing else",
    ]
    assert [row.name[:4] for row in found] == ["300 ", "3,00"]
    assert all(row.also.endswith(" GB") for row in found)


@needs_compiled
def test_the_operators_beside_torchvision_s():
    found = rows(operators, "--only", "34 boxes", "--repeats", "2", "--threads", "1")
    assert [row.name for row in found] == ["nms, 34 boxes", "nms of 60 classes, 34 boxes"]
    assert all(len(row.ours) == len(row.yardstick) == 2 for row in found)


@pytest.mark.parametrize("names", [["nonsense"], ["operators", "nonsense"]])
def test_unknown_names_are_refused_before_anything_runs(names: list[str]):
    command = [sys.executable, "-m", "benchmarks", *names]
    outcome = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert outcome.returncode == 2
    assert "nonsense: expected names of inference, " in outcome.stderr
    assert outcome.stdout == ""


def result(seed: int, *figures: tuple[float, float]) -> dict:
    """What train.py writes of a run with these (frame-mAP, mean IoU), step by step."""
    found = [{"mAP": m, "mean_iou": i, "recall": 1.0} for m, i in figures]
    metrics = {"steps": found, "proposals": {"mean_iou": 0.25, "recall": 0.5}}
    return {"seed": seed, "metrics": metrics}


def test_steps_are_summed_up_over_the_seeds():
    results = [result(0, (0.5, 0.6), (0.6, 0.7)), result(1, (0.7, 0.8), (0.9, 0.9))]
    table = steps.format_table(results).splitlines()
    assert table[2] == "| proposals | - | 0.250 (0.250 to 0.250) | 0.500 (0.500 to 0.500) |"
    assert table[3].startswith("| step 1 | 0.600 (0.500 to 0.700) | 0.700 (0.600 to 0.800) |")
    assert table[4].startswith("| step 2 | 0.750 (0.600 to 0.900) | 0.800 (0.700 to 0.900) |")
    assert steps.format_seeds(results).splitlines()[3] == "| 1 | 0.700, 0.900 | 0.800, 0.900 |"
