"""Images and flow straight from a video file: the numbers of the extraction, decoded once."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from data.prepare.numbered import Job
from data.prepare.snippet_frames import SnippetSettings, extract_snippets_whole
from data.snippets.sources import FrameFolder, open_frames
from data.snippets.video import VideoFrames
from data.toy.segment_plays import draw_play
from data.toy.segment_scenes import StageRenderer, make_stage
from data.video.writer import write_video


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    paint = StageRenderer(make_stage(rng, draw_play(rng, 40)), 64)
    path = tmp_path_factory.mktemp("film") / "v.mp4"
    write_video(path, (paint(i / 6) for i in range(200)), 6)
    return path


def test_a_file_gives_what_its_extraction_holds(film: Path, tmp_path: Path) -> None:
    extract_snippets_whole(Job(film, tmp_path, "v"), SnippetSettings(64, 64))
    folder = FrameFolder(tmp_path / "v", flow=True, size=None)
    file = open_frames(film, "Flow", size=None)
    assert len(file) == len(folder) == 199
    wanted = [3, 199, 150, 3, 400]
    for ours, theirs in zip(file.images(wanted), folder.images([3, 199, 150, 3, 199]), strict=True):
        assert np.abs(ours.astype(int) - theirs).mean() < 4  # a JPEG of 64 x 64 pixels
    for ours, theirs in zip(file.flow(wanted), folder.flow(wanted), strict=True):
        assert np.abs(ours.astype(int) - theirs).mean() < 1
        assert np.abs(ours.astype(int) - theirs).max() <= 4  # a JPEG is not exact


def test_jumps_and_steps_back_give_the_same_frames(film: Path) -> None:
    once = VideoFrames(film, None, kept=300).images(range(1, 200))
    source = VideoFrames(film, None)
    for frame in (150, 151, 5, 199, 198, 1, 140):
        assert np.array_equal(source.images([frame])[0], once[frame - 1])
    assert np.array_equal(source.flow([7])[0], VideoFrames(film, None).flow([7])[0])


def test_going_forward_decodes_once(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = VideoFrames(film, (32, 32), kept=40)
    opened = []
    frames = source.file.frames
    monkeypatch.setattr(source.file, "frames", lambda start: opened.append(start) or frames(start))
    for start in range(1, 170, 10):
        source.images(range(start, start + 10, 2))
        source.flow(range(start, start + 14))  # another network, a little further on
    assert len(opened) == 1
    assert len(source._images) <= 40


def test_a_copy_in_another_process_decodes_for_itself(film: Path) -> None:
    source = VideoFrames(film, None)
    image, flow = source.images([9])[0], source.flow([9])[0]
    copy = pickle.loads(pickle.dumps(source))
    assert np.array_equal(copy.images([9])[0], image)
    assert np.array_equal(copy.flow([9])[0], flow)


def test_a_single_frame_has_no_motion(tmp_path: Path) -> None:
    write_video(tmp_path / "one.mp4", [np.full((32, 48, 3), 90, np.uint8)], 5)
    source = VideoFrames(tmp_path / "one.mp4", None)
    assert len(source) == 1
    assert (source.flow([1, 2])[1] == 128).all()
    assert source.images([1])[0].shape == (32, 48, 3)
