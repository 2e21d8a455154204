"""The toy untrimmed videos, and the extraction of frames and flow that follows."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from data.datasets.segment_sources import open_annotations
from data.prepare.numbered import Job
from data.prepare.snippet_frames import SnippetSettings, extract_snippets_whole
from data.snippets.sources import FrameFolder
from data.toy.segment_files import generate_toy_segments
from data.toy.segment_plays import (
    CLASSES,
    GREETING,
    LAMP,
    PAUSES,
    SHAKE,
    TURN,
    Performance,
    Play,
    draw_play,
    time_inside,
)
from data.toy.segment_scenes import StageRenderer, make_stage
from data.video.file import VideoFile
from data.video.writer import write_video

TINY = {"train_videos": 1, "test_videos": 1, "seconds": 30, "size": 32, "demo_seconds": 20}
TINY |= {"demo_size": 48}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("toy") / "segments"
    assert generate_toy_segments(root, **TINY)[0]
    return root


def play_of(label: int) -> Play:
    return Play(20.0, [Performance(label, 4.0, 16.0, ((9.0, 11.0),))])


@pytest.mark.parametrize("seed", range(5))
def test_actions_lie_apart_and_inside_the_video(seed: int) -> None:
    play = draw_play(np.random.default_rng(seed), 120)
    spans = [(p.start, p.end) for p in play.performances]
    assert spans[0][0] >= 1
    assert spans[-1][1] <= 119
    for (_, end), (start, _) in itertools.pairwise(spans):
        assert PAUSES[0] <= start - end <= PAUSES[1]
    assert all(not start <= t < end for t in play.greetings for start, end in spans)
    for action in play.performances:
        assert all(end > start for start, end in action.active())


def test_an_action_pauses_where_it_hesitates() -> None:
    active = play_of(TURN).active(TURN)
    assert active == [(4 + GREETING, 9.0), (11.0, 16 - GREETING)]
    assert time_inside(active, 10.0) == time_inside(active, 11.0) == pytest.approx(9 - 4 - GREETING)


@pytest.mark.parametrize(
    ("label", "is_seen_in_motion"), [(LAMP, False), (TURN, True), (SHAKE, True)]
)
def test_what_flow_and_images_can_tell(label: int, is_seen_in_motion: bool) -> None:
    rng = np.random.default_rng(1)
    scene = make_stage(rng, play_of(label))
    scene.background.pan_velocity[:] = 0
    paint = StageRenderer(scene, 48)
    moved = np.abs(paint(7.0).astype(int) - paint(7.1)).max() > 20
    assert moved == is_seen_in_motion
    before_and_during = np.abs(paint(3.0).astype(int) - paint(7.0)).max() > 20
    assert before_and_during  # the lamp is lit, or the wheel is elsewhere


def test_annotations_read_back(tiny: Path) -> None:
    by_json = open_annotations(tiny / "segments.json", "train")
    by_table = open_annotations(tiny / "segments_train.csv", "train")
    assert by_json.classes == list(CLASSES)
    assert by_json.segments.keys() == by_table.segments.keys() == {"toy_train_000"}
    named = [(s.start, s.end, CLASSES[s.label]) for s in by_json.segments["toy_train_000"]]
    table = by_table.segments["toy_train_000"]
    assert named == [(s.start, s.end, by_table.classes[s.label]) for s in table]
    held_out = json.loads((tiny / "segments.json").read_text())["database"]["toy_demo_000"]
    assert held_out["subset"] == "testing"


def test_the_same_settings_give_the_same_files(tiny: Path, tmp_path: Path) -> None:
    generate_toy_segments(tmp_path / "again", **TINY)
    for path in sorted(tiny.rglob("*.*")):
        assert (tmp_path / "again" / path.relative_to(tiny)).read_bytes() == path.read_bytes()
    with pytest.raises(FileExistsError, match="fps 6, not 5"):
        generate_toy_segments(tiny, **{**TINY, "fps": 5})


def test_extraction_follows_tsn(tiny: Path, tmp_path: Path) -> None:
    source = tiny / "videos" / "toy_train_000.mp4"
    settings = SnippetSettings(40, 32, "farneback")
    record = extract_snippets_whole(Job(source, tmp_path, "v"), settings)
    file = VideoFile(source)
    assert (record.files, record.fps, record.duration) == (len(file) - 1, 6.0, 30.0)
    assert record.names() | {"extraction.json"} == {p.name for p in (tmp_path / "v").iterdir()}
    frames = FrameFolder(tmp_path / "v", flow=True, size=None)
    # Image k is frame k + 1 of the file, which counts from 0 here: image 1 is frame 1.
    wanted = next(f.image for f in file.frames(file.times[1]))
    wanted = cv2.resize(wanted, (40, 32), interpolation=cv2.INTER_LINEAR)
    assert np.abs(frames.images([1])[0].astype(int) - wanted).mean() < 3
    assert frames.flow([1])[0].shape == (32, 40, 2)


def test_flow_points_where_things_move(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    texture = cv2.resize(rng.integers(0, 255, (16, 24, 3), np.uint8), (96, 64))
    write_video(tmp_path / "v.mp4", [texture[:, 10 - i : 74 - i] for i in range(5)], 5)
    extract_snippets_whole(Job(tmp_path / "v.mp4", tmp_path, "v"), SnippetSettings(64, 64))
    x, y = np.moveaxis(FrameFolder(tmp_path / "v", flow=True, size=None).flow([2])[0], 2, 0)
    # One pixel to the right: 255 (1 + 20) / 40 = 133.9.
    assert 132 <= np.median(x) <= 136
    assert 126 <= np.median(y) <= 129


def test_a_single_frame_does_not_move(tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", [np.full((32, 32, 3), 99, np.uint8)], 5)
    record = extract_snippets_whole(Job(tmp_path / "v.mp4", tmp_path, "v"), SnippetSettings(32, 32))
    assert record.files == 1
    flow = FrameFolder(tmp_path / "v", flow=True, size=None).flow([1])[0]
    assert abs(int(flow.mean()) - 128) <= 1


def test_extraction_without_flow(tiny: Path, tmp_path: Path) -> None:
    source = tiny / "held_out" / "toy_demo_000.mp4"
    extract_snippets_whole(Job(source, tmp_path, "v"), SnippetSettings(32, 32, "none"))
    assert not list((tmp_path / "v").glob("flow_*"))
    with pytest.raises(ValueError, match="flow_x"):
        FrameFolder(tmp_path / "v", flow=True)
