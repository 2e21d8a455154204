"""Detecting from Python: typed results, and every file that they are saved as."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from data.converters import Choice, Media, read_marks
from data.video.windows import VideoFile, write_video
from external.ava_evaluation import read_boxes
from recipes import open_detector
from recipes.answers import Answers
from tests.entries import write_checkpoint
from tests.helpers import ROOT
from utils.formats.person_results import read_results


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Answers:
    folder = tmp_path_factory.mktemp("api")
    images = [np.full((48, 80, 3), 10 + 15 * i, np.uint8) for i in range(14)]
    write_video(folder / "film.mp4", images, 10)
    options = {"score_threshold": 0.1, "merge_threshold": 0.6, "stride": 4, "device": "cpu"}
    return open_detector(write_checkpoint(folder / "best.pt"), **options)(folder / "film.mp4")


def test_results_are_typed_and_iterate_by_key_frame(answers: Answers) -> None:
    assert [key.frame for key in answers] == [0, 4, 8, 12]
    assert len(answers) == 4
    numbers = {person.person for key in answers for person in key.persons}
    assert numbers == {entry.person for entry in answers.persons}
    assert answers.segments == sorted(answers.segments, key=lambda s: (s.start, s.person))
    record = answers.to_records()[0]
    first = answers.key_frames[0].persons[0]
    assert (record["person"], record["x1"], record["score"]) == (
        first.person,
        first.box[0],
        first.actions[0].score,
    )


@pytest.mark.parametrize(
    "ending", [".csv", ".json", ".jsonl", ".xml", ".via.json", ".html", ".mp4"]
)
def test_results_are_saved_by_ending(answers: Answers, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"film{ending}"
    answers.save(path)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    if ending == ".json":
        assert read_results(path) == answers.data
    elif ending == ".csv":
        assert len(read_boxes(path).score) == len(answers.to_records())
    elif ending == ".jsonl":
        assert len(path.read_text().splitlines()) == 4
    elif ending in (".xml", ".via.json"):
        marks = read_marks(path, Media(fps=10, size=(48, 80)), Choice()).marks  # type: ignore[arg-type]
        assert {mark.video for mark in marks} == {"film"}
        assert len(marks) == sum(len(key.persons) for key in answers)
    elif ending == ".html":
        assert '"name": "film"' in path.read_text()
    else:
        assert len(VideoFile(path)) == 14
    with pytest.raises(ValueError, match=path.name):
        answers.save(path)


def test_another_ending_or_detector_is_refused(answers: Answers, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a\.txt: expected a name that ends with \.via\.json"):
        answers.save(tmp_path / "a.txt")
    with pytest.raises(ValueError, match=r"cls\.pt"):
        open_detector(write_checkpoint(tmp_path / "cls.pt", task="cls"))


def test_supervision_gets_the_persons_of_a_frame(answers: Answers) -> None:
    supervision = pytest.importorskip("supervision")
    found, persons = answers.to_supervision(4), answers.key_frames[1].persons
    assert found.tracker_id.tolist() == [p.person for p in persons]
    assert found.xyxy.tolist() == [pytest.approx(p.box) for p in persons]
    assert found.data["class_name"].tolist() == [p.actions[0].name for p in persons]
    assert found.confidence.tolist() == [max(a.score for a in p.actions) for p in persons]
    assert found[1:].data["actions"] == [[a.name for a in p.actions] for p in persons[1:]]
    image = np.zeros((48, 80, 3), np.uint8)
    assert supervision.LabelAnnotator().annotate(image, found).any()
    with pytest.raises(ValueError, match="frame 5 is no key frame of film"):
        answers.to_supervision(5)


def test_the_example_of_the_docs_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    code = re.search(r"```python\n(.*?)```", (ROOT / "docs" / "api.md").read_text(), re.S)
    assert code is not None
    write_checkpoint(tmp_path / "FILE.pt")
    images = [np.full((48, 80, 3), 10 + 15 * i, np.uint8) for i in range(14)]
    write_video(tmp_path / "video.mp4", images, 10)
    monkeypatch.chdir(tmp_path)
    exec(code[1], {})
    assert read_results(tmp_path / "answers.json").video == "video"
    assert (tmp_path / "answers.xml").stat().st_size > 500
    assert capsys.readouterr().out.count("\n") > 2


def test_json_of_the_api_is_that_of_the_demo(answers: Answers, tmp_path: Path) -> None:
    answers.save(tmp_path / "a.json")
    content = json.loads((tmp_path / "a.json").read_text())
    assert content["stride"] == 4
    assert content["version"] == 1
