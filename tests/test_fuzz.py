"""A short part of the fuzz suite, and that the suite sees what it is there to see."""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fuzz.changes import FORMATS, Meaning, change
from tests.fuzz.scenario import Scenario
from tests.fuzz.scenarios import all_scenarios
from tests.fuzz.suite import plan
from tests.fuzz.trial import FAULTS, Base, Verdict, _tells, run_trial
from utils.formats import proposal_lists
from utils.formats.proposal_lists import ListedVideo

QUICK = (
    "evaluate_pbtxt",
    "evaluate_yaml",
    "generate_label",
    "convert_via3_json",
    "convert_cvat_zip",
    "proposal_list",
    "thumos14",
)


@pytest.mark.parametrize("name", QUICK)
def test_hostile_files_are_accepted_or_refused_by_name(name: str, tmp_path: Path) -> None:
    base = Base(all_scenarios()[name], tmp_path / "base")
    for reader in base.scenario.readers():
        for number in range(2):
            outcome = run_trial(base, reader, number, 1, tmp_path / "trial")
            said = f"{reader} --trial {number} --seed 1: {outcome.words}: {outcome.reason}"
            assert outcome.verdict not in FAULTS, f"{said}\n{outcome.ended.output}"


def test_a_file_s_stem_or_a_part_of_its_name_tells_nothing() -> None:
    assert not _tells("error: found 3 cells, expected 2 in xfound.csv", ("found.csv",))
    assert _tells("error: in/found.csv, line 3: found 3 cells", ("found.csv",))


def _takes_all(path: Path) -> list[ListedVideo]:
    return []


def _nameless(path: Path) -> list[ListedVideo]:
    raise ValueError("line 3: expected a number")


def _uncaught(path: Path) -> list[ListedVideo]:
    raise KeyError("v1")


@pytest.mark.parametrize(
    ("reader", "expected"),
    [
        (_takes_all, Verdict.WRONG),
        (_nameless, Verdict.NAMELESS),
        (_uncaught, Verdict.TRACEBACK),
    ],
)
def test_a_broken_reader_is_seen(
    reader: Callable, expected: Verdict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = Base(all_scenarios()["proposal_list"], tmp_path / "base")
    base.results()
    monkeypatch.setattr(proposal_lists, "read_proposal_list", reader)
    for number in range(3):
        outcome = run_trial(base, "proposal_list:special", number, 1, tmp_path / "trial")
        assert outcome.verdict is expected


def test_a_reader_that_leaves_out_the_last_line_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = Base(all_scenarios()["proposal_list"], tmp_path / "base")
    base.results()
    real = proposal_lists.read_proposal_list
    monkeypatch.setattr(proposal_lists, "read_proposal_list", lambda path: real(path)[:-1])
    content = (base.folder / "in/proposals.txt").read_bytes()
    reader = "proposal_list:proposals.txt"
    number = next(
        n
        for n in range(100)
        if change(content, "words", random.Random(f"0 {reader} {n}")).meaning is Meaning.SAME
    )
    outcome = run_trial(base, reader, number, 0, tmp_path / "trial")
    assert (outcome.verdict, outcome.reason) == (Verdict.WRONG, "another result")


class Fake(Scenario):
    """A command that does what the test says in place of reading `in/a.csv`."""

    @property
    def work(self) -> Callable[[Path], None]:
        return WORK[self.name]

    def run(self, arguments: list[str]) -> None:
        self.work(Path("in/a.csv"))


def _refuse(_: Path) -> None:
    print("error: something is wrong", file=sys.stderr)
    sys.exit(2)


def _refuse_by_name(path: Path) -> None:
    print(f"error: {path}: wrong", file=sys.stderr)
    sys.exit(2)


WORK: dict[str, Callable[[Path], None]] = {
    "accepts": lambda path: None,
    "refuses": _refuse,
    "refuses_by_name": _refuse_by_name,
    "fails": lambda path: print(1 / 0),
    "aborts": lambda path: os.abort(),
    "waits": lambda path: time.sleep(100),
    "writes": lambda path: path.write_text("mine"),
    "removes": lambda path: path.unlink(),
    "adds": lambda path: path.with_name("b.csv").write_text("new"),
}


def fake(name: str, folder: Path) -> Base:
    def build(inputs: Path) -> None:
        (inputs / "a.csv").write_text("1,2\n3,4\n")

    files = {"a.csv": "csv"}
    base = Base(Fake(name, build, "", (), files, limit=0.3), folder / "base")
    base._results = {"exit code": "0"}
    return base


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("refuses", Verdict.NAMELESS),
        ("refuses_by_name", Verdict.REFUSED),
        ("fails", Verdict.TRACEBACK),
        ("aborts", Verdict.TRACEBACK),
        ("waits", Verdict.HANG),
        ("writes", Verdict.WRONG),
        ("removes", Verdict.WRONG),
        ("adds", Verdict.WRONG),
    ],
)
def test_what_a_command_does_wrong_is_seen(name: str, expected: Verdict, tmp_path: Path) -> None:
    base, reader, numbers = fake(name, tmp_path), f"{name}:a.csv", range(20)
    # A change that may be accepted or refused.
    number = next(
        n
        for n in numbers
        if change(b"1,2\n3,4\n", "csv", random.Random(f"0 {reader} {n}")).meaning is Meaning.ANY
    )
    assert run_trial(base, reader, number, 0, tmp_path / "trial").verdict is expected


def test_pipes_and_folders_must_be_refused(tmp_path: Path) -> None:
    base = fake("accepts", tmp_path)
    outcomes = [
        run_trial(base, "accepts:special", number, 0, tmp_path / "trial") for number in range(8)
    ]
    assert {outcome.reason for outcome in outcomes} == {"accepted"}


@pytest.mark.parametrize("kind", sorted(FORMATS))
def test_a_number_gives_the_same_change_again(kind: str, tmp_path: Path) -> None:
    scenarios = all_scenarios().values()
    scenario, file = next((s, f) for s in scenarios for f, k in s.files.items() if k == kind)
    if kind in ("checkpoint", "saved"):
        from tests.entries import write_checkpoint

        content = write_checkpoint(tmp_path / "x.pt").read_bytes()
    else:
        content = (Base(scenario, tmp_path / "base").folder / "in" / file).read_bytes()
    for number in range(20):
        once, again = (change(content, kind, random.Random(number)) for _ in range(2))
        assert once.words == again.words
        assert kind in ("checkpoint", "saved") or once.content == again.content


def test_every_reader_gets_a_trial_and_the_suite_two_thousand() -> None:
    trials = plan(2400)
    assert min(trials.values()) >= 1
    assert sum(trials.values()) >= 2000
