"""Which attributes are actions, and which labels count; the messages that name the options."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from data.converters import Choice, Media, Reading, check_actions, choose_labels, read_marks, to_ava
from tests.conversion import FULL_HD, METADATA, attribute, box, cvat, table, via3


def read(path: Path, media: Media = FULL_HD, **options: object) -> Reading:
    return read_marks(path, media, Choice(**options))


def labels(reading: Reading) -> list[str]:
    return sorted(label for mark in reading.marks for label in mark.labels)


def tracks(folder: Path) -> Path:
    """A person who walks and talks, a car that parks, and a wave that is its own label."""
    walk = attribute("pose", "walk") + attribute("talk", "true")
    person = f'<track id="0" label="person">{box(30, (0, 0, 9, 9), walk)}</track>'
    parks = attribute("state", "parked")
    car = f'<track id="1" label="car">{box(30, (0, 0, 9, 9), parks)}</track>'
    return cvat(folder, person, car, f'<track id="2" label="wave">{box(30, (0, 0, 9, 9))}</track>')


@pytest.mark.parametrize(
    ("keep", "drop", "left", "count"),
    [
        ([], [], ["parked", "talk", "walk", "wave"], 0),
        (["walk"], [], ["walk"], 2),
        (["person"], [], ["talk", "walk"], 2),  # CVAT's label: whole tracks
        (["person", "walk"], [], ["walk"], 2),
        ([], ["car"], ["talk", "walk", "wave"], 1),
        ([], ["talk", "wave"], ["parked", "walk"], 1),
        (["person"], ["talk"], ["walk"], 2),
    ],
)
def test_labels_are_chosen_or_left_out_and_counted(
    tmp_path: Path, keep: list[str], drop: list[str], left: list[str], count: int
) -> None:
    reading = read(tracks(tmp_path))
    choose_labels(reading, keep, drop)
    assert labels(reading) == left
    assert sum(number for number, _ in reading.left_out.reasons.values()) == count


@pytest.mark.parametrize("option", ["--labels", "--no-labels"])
def test_a_label_that_is_not_there_is_refused(tmp_path: Path, option: str) -> None:
    reading = read(tracks(tmp_path))
    names = (["walks"], []) if option == "--labels" else ([], ["walks"])
    with pytest.raises(ValueError, match=rf"^{option}: no label 'walks'; did you mean 'walk'\?"):
        choose_labels(reading, *names)


def test_actions_that_no_box_has_list_those_there(tmp_path: Path) -> None:
    choice = Choice(actions=frozenset(["Pose"]))
    reading = read_marks(tracks(tmp_path), FULL_HD, choice)
    with pytest.raises(ValueError, match=r"attribute 'Pose'; .* 'label', 'pose', 'state', 'talk'"):
        check_actions(choice, reading)
    check_actions(Choice(actions=frozenset(["pose", "label"])), reading)


def test_nothing_to_convert_names_the_option(tmp_path: Path) -> None:
    between = {"1_a": METADATA["1_a"] | {"z": [3.4]}}
    with pytest.raises(ValueError, match=r"not on a whole second .*--tolerance 0\.5 rounds all"):
        to_ava(read(via3(tmp_path, between)), FULL_HD)
    mute = {"1_a": METADATA["1_a"] | {"av": {"1": "", "3": None}}}
    with pytest.raises(ValueError, match=r"--actions ATTRIBUTE .*boxes have 'action', 'pose'"):
        to_ava(read(via3(tmp_path, mute)), FULL_HD)


@pytest.mark.parametrize(("value", "person"), [(None, None), ("", None), ("A", 0), (7, 7)])
def test_an_open_person_is_nobody(tmp_path: Path, value: object, person: int | None) -> None:
    entry = {"1_a": METADATA["1_a"] | {"av": {"1": "0", "2": value}}}
    assert to_ava(read(via3(tmp_path, entry)), FULL_HD).rows[0][4] == person
    region = {
        "shape_attributes": {"name": "rect", "x": 0, "y": 0, "width": 9, "height": 9},
        "region_attributes": {"action": "run", "person": value},
    }
    path = tmp_path / "v.json"
    path.write_text(json.dumps({"a": {"filename": "a_30.jpg", "regions": [region]}}))
    assert to_ava(read(path), FULL_HD).rows[0][4] == person


def test_a_table_has_one_attribute(tmp_path: Path) -> None:
    assert read(table(tmp_path, (1, "run", "A"))).attributes == {"label"}
