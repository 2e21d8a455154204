"""The toy videos of tubes: the same by seed, in UCF101-24's layout, and hard in the ways meant."""

from pathlib import Path

import numpy as np
import pytest

from data.datasets.tube_files import read_tube_file
from data.toy.scenes import Renderer
from data.toy.tube_files import TubeToySettings, generate_toy_tubes, video_id
from data.toy.tube_scenes import (
    ACTIONS,
    BLUE,
    BOARD_CELLS,
    BOARD_SIDE,
    FPS,
    RED,
    TubeScene,
    _board,
    make_tube_scene,
)
from data.video.file import VideoFile

SMALL = {"train": 1, "test": 1, "least": 32, "most": 34, "size": 32, "held_out": 0}


def scenes(count: int, action: int = 0) -> list[TubeScene]:
    return [
        make_tube_scene(np.random.default_rng([5, action, i]), ACTIONS[action], 70)
        for i in range(count)
    ]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("toy_tubes") / "made"
    generate_toy_tubes(folder, TubeToySettings(**SMALL))
    return folder


def test_the_csv_and_the_cache_hold_what_the_videos_show(root: Path) -> None:
    annotations, none = read_tube_file(root / "annotations" / "tubes.csv")
    again, cache = read_tube_file(root / "annotations" / "toy_tubes-GT.pkl")
    assert none is None
    assert cache is not None
    assert annotations.classes == again.classes == [action.name for action in ACTIONS]
    assert annotations.videos == again.videos
    assert annotations.tubes.boxes == pytest.approx(again.tubes.boxes)
    assert cache.test[0] == [video_id(label, 1) for label in range(len(ACTIONS))]
    assert cache.train[0] == [video_id(label, 2) for label in range(len(ACTIONS))]
    for number, name in enumerate(annotations.videos):
        video = VideoFile(root / "videos" / f"{name}.avi")
        assert len(video) == annotations.frame_counts[number]
    lengths = annotations.frame_counts[annotations.tubes.video]
    assert (annotations.tubes.last <= lengths).all()
    assert (annotations.tubes.lengths < lengths).any(), "untrimmed"


def test_the_same_settings_give_the_same_files(root: Path, tmp_path: Path) -> None:
    generate_toy_tubes(tmp_path / "again", TubeToySettings(**SMALL))
    files = [p.relative_to(root) for p in root.rglob("*") if p.is_file()]
    assert len(files) > 12
    for file in files:
        assert (root / file).read_bytes() == (tmp_path / "again" / file).read_bytes(), file


def test_videos_that_are_there_stay_and_others_are_refused(root: Path, tmp_path: Path) -> None:
    before = (root / "toy.json").stat().st_mtime_ns
    assert not generate_toy_tubes(root, TubeToySettings(**SMALL))[0]
    assert (root / "toy.json").stat().st_mtime_ns == before
    with pytest.raises(FileExistsError, match="seed 0, not 1"):
        generate_toy_tubes(root, TubeToySettings(seed=1, **SMALL))
    (tmp_path / "videos").mkdir()
    with pytest.raises(FileExistsError, match="is no toy dataset"):
        generate_toy_tubes(tmp_path, TubeToySettings(**SMALL))


def test_force_replaces_the_videos_and_what_was_extracted_but_nothing_else(tmp_path: Path) -> None:
    generate_toy_tubes(tmp_path, TubeToySettings(**SMALL))
    for file in (
        "rgb-images/manifest.json",
        "rgb-images/Wave/v_Wave_g01_c01/00001.jpg",
        "flow/.step-made.json",
        "flow/Wave/v_Wave_g01_c01/flow_x_00001.jpg",
    ):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("extracted")
    generate_toy_tubes(tmp_path, TubeToySettings(seed=1, **SMALL), force=True)
    assert not (tmp_path / "rgb-images").exists()
    (tmp_path / "annotations" / "my notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"my notes\.txt: is not of the toy dataset"):
        generate_toy_tubes(tmp_path, TubeToySettings(**SMALL), force=True)


def test_a_held_out_video_has_its_tubes_beside_it(tmp_path: Path) -> None:
    generate_toy_tubes(tmp_path, TubeToySettings(**SMALL | {"held_out": 1}))
    tubes, _ = read_tube_file(tmp_path / "held_out" / "toy_tubes_BlinkRed.csv", None)
    assert tubes.videos == ["toy_tubes_BlinkRed"]
    film = VideoFile(tmp_path / "held_out" / "toy_tubes_BlinkRed.mp4")
    assert len(film) == tubes.frame_counts[0] == 120


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="least: expected 32 to 3000, got 6"):
        TubeToySettings(least=6)
    with pytest.raises(ValueError, match="most: expected 60, the fewest, or more, got 50"):
        TubeToySettings(least=60, most=50)


def test_figures_move_by_more_than_their_width_within_30_frames() -> None:
    moved = []
    for scene in scenes(20):
        for actor in scene.actors:
            places = np.array([actor.pose(f)[0] for f in range(scene.frames)])
            reach = [np.ptp(places[f : f + 30]) for f in range(0, scene.frames - 29, 5)]
            whole = np.concatenate([s.points for s in actor.shapes(0)])
            moved += [r > np.ptp(whole[:, 0]) for r in reach]
    assert np.mean(moved) > 0.6


def test_most_clips_do_not_tell_the_two_blinkers_and_windows_do() -> None:
    """The lamp's rare colour tells them apart: few clips of 6 frames show it, all of 30 do."""

    def told(length: int) -> float:
        seen: list[bool] = []
        for scene in scenes(20):
            actor = scene.actors[0]
            shown = [actor.signals(frame) for frame in range(actor.first, actor.last + 1)]
            seen += [any(shown[i : i + length]) for i in range(len(shown) - length + 1)]
        return float(np.mean(seen))

    assert told(6) < 0.5 < told(18) < 1.0 == told(30)


def test_the_lamps_colours_are_equally_bright() -> None:
    """Flow is computed from grey, so that it cannot tell them apart."""
    blue, red = (np.dot([0.299, 0.587, 0.114], color) for color in (BLUE, RED))
    assert blue == pytest.approx(red, abs=1)


def test_a_still_of_a_rolling_board_does_not_tell_the_direction() -> None:
    """Dots that come round are the same rolled up as rolled down."""
    cells = scenes(1, 3)[0].actors[0].cells
    round_trip = BOARD_SIDE / BOARD_CELLS * len(cells)
    down, up = (
        _board(cells, 5.3 * ACTIONS[3].roll),
        _board(cells, 5.3 * ACTIONS[3].roll - round_trip),
    )
    assert ACTIONS[3].roll == -ACTIONS[4].roll > 0
    for a, b in zip(down, up, strict=True):
        assert a.points == pytest.approx(b.points)
        assert a.color == b.color


def test_boxes_hold_the_figure_that_is_drawn() -> None:
    """The figure's pixels, those that change without it, are inside its box."""
    scene = scenes(1, 5)[0]
    empty = TubeScene(scene.frames, scene.background, [])
    action, first, boxes = scene.tubes()[0]
    alone = TubeScene(scene.frames, scene.background, scene.actors[:1])
    time = (first + 7) / FPS
    changed = (Renderer(alone, 64)(time) != Renderer(empty, 64)(time)).any(axis=-1)
    rows, columns = np.nonzero(changed)
    x1, y1, x2, y2 = boxes[7] * 64
    assert columns.min() == pytest.approx(x1, abs=1.1)
    assert columns.max() + 1 == pytest.approx(x2, abs=1.1)
    assert rows.min() == pytest.approx(y1, abs=1.1)
    assert rows.max() + 1 == pytest.approx(y2, abs=1.1)
    assert action.name == "Wave"
