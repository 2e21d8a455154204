"""Which key frames are hard: by hand, and as a list."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.entries import Script
from utils.formats.person_results import Action, PersonResults, SeenFrame, SeenPerson
from utils.reporting.hard_frames import hard_frames, hardest

SCRIPT = "scripts/hard_examples"


def person(number: int, score: float) -> SeenPerson:
    box = (0.0, 0.0, 1.0, 1.0)
    return SeenPerson(number, box, box, [Action(1, "walk", score), Action(2, "talk", score / 2)])


def make_results(video: str = "v") -> PersonResults:
    """Sure; unsure of person 2; person 1 is lost; sure again; nobody."""
    persons = [
        [person(1, 1.0), person(2, 1.0)],
        [person(1, 0.9), person(2, 0.5)],
        [person(2, 0.75)],
        [person(1, 1.0)],
        [],
    ]
    keys = [SeenFrame(6 * k, k / 4, found) for k, found in enumerate(persons)]
    return PersonResults(1, video, False, 10, 10, 24.0, [], [], keys)


def test_a_frame_is_as_unsure_as_its_least_sure_person() -> None:
    found = hard_frames(make_results())
    # Entropy of 0.75: -(3/4 log2 3/4 + 1/4 log2 1/4) = 0.811; the lost person counts more.
    assert [round(one.unsure, 3) for one in found] == [0, 1, 1, 0]
    assert found[1].reason == "person 2: walk has 0.50"
    assert found[2].reason == "person 1 is lost here, and found before and after"
    alone = make_results()
    alone.key_frames = alone.key_frames[2:3]
    assert hard_frames(alone)[0].unsure == pytest.approx(0.811, abs=1e-3)


def test_the_hardest_are_apart_within_a_video() -> None:
    found = hard_frames(make_results()) + hard_frames(make_results("w"))
    assert [(one.video, one.frame) for one in hardest(found, 3, 0.5)] == [
        ("v", 6),
        ("w", 6),
        ("v", 18),
    ]
    assert len(hardest(found, 50, 0)) == 8


def test_the_script_lists_them(script: Script, tmp_path: Path) -> None:
    (tmp_path / "v.json").write_text(json.dumps(asdict(make_results())))
    lines = script(tmp_path / "v.json", "--count", 2, "--apart", 0).out.splitlines()
    assert lines[0] == "video,frame,seconds,unsure,why"
    assert lines[1] == "v,6,0.250,1.000,person 2: walk has 0.50"
    assert len(lines) == 3
    assert script(tmp_path / "v.json", "-o", tmp_path / "hard.csv").code == 0
    assert (tmp_path / "hard.csv").read_text().startswith("video,")
    assert "--count: expected 1 or more, got 0" in script.refuses(tmp_path / "v.json", "--count", 0)
