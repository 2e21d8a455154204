"""The toy dataset: AVA's formats, made again from its seed, and told apart by motion."""

from __future__ import annotations

import csv
import dataclasses
import re
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from data.toy import files, generate_toy_dataset
from data.toy.actors import (
    ACTIONS,
    FLASH,
    GESTURES,
    HOP,
    LOCOMOTION,
    STRIDE,
    WAVE,
    Action,
    Array,
    Shape,
    figure,
    rates,
)  # fmt: skip
from data.toy.scenes import Renderer, Scene, make_scene, paint, shrink
from data.toy.tracks import Track

TINY: dict[str, Any] = {
    "train_videos": 2,
    "val_videos": 1,
    "seconds": 3,
    "size": 64,
    "fps": 4,
    "demo_seconds": 2,
    "demo_size": 64,
}
BY_NAME = {action.name: action for action in ACTIONS}


def scene_of(seed: int, seconds: int = 20, count: int | None = None) -> Scene:
    return make_scene(np.random.default_rng(seed), 900, seconds, count)


def doing(scene: Scene, action: Action, phases: float = 0.0) -> Scene:
    """The scene's first actor alone in the middle, who does `action` around time 0."""
    actor = scene.actors[0][0]
    speeds = rates(actor, action)[None]
    poses = np.array([[0.5, 0.55, phases, phases, phases, phases]]) - 0.5 * speeds
    track = Track(-0.5, poses, speeds, [(action,)])
    background = dataclasses.replace(scene.background, pan_velocity=np.zeros(2))
    return Scene(0, 1, background, [(actor, track)])


def read_rows(path: Path) -> list[list[str]]:
    with path.open() as lines:
        return list(csv.reader(lines))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("toy")
    generate_toy_dataset(root, **TINY)
    return root


# ----------------------------------------------------------------------------------------- files


def test_layout_is_avas(tiny: Path) -> None:
    names = sorted(path.name for path in (tiny / "annotations").iterdir())
    assert names == [
        "ava_action_list_v2.1_for_activitynet_2018.pbtxt",
        "ava_train_excluded_timestamps_v2.1.csv",
        "ava_train_v2.1.csv",
        "ava_val_excluded_timestamps_v2.1.csv",
        "ava_val_v2.1.csv",
    ]
    videos = sorted(path.name for path in (tiny / "frames").iterdir())
    assert videos == ["toy_train_000", "toy_train_001", "toy_val_000"]
    # Three key frames, 902 to 904, with two seconds on either side; four frames in each second.
    seconds = sorted(path.name for path in (tiny / "frames" / "toy_val_000").iterdir())
    assert seconds == [f"{second:05d}" for second in range(900, 907)]
    frames = sorted((tiny / "frames" / "toy_val_000" / "00902").iterdir())
    assert [path.name for path in frames] == [f"toy_val_000_{i:06d}.jpg" for i in (9, 10, 11, 12)]
    assert cv2.imread(str(frames[0])).shape == (64, 64, 3)


@pytest.mark.parametrize("split", ["train", "val"])
def test_annotation_rows_are_valid(tiny: Path, split: str) -> None:
    label_map = (
        tiny / "annotations" / "ava_action_list_v2.1_for_activitynet_2018.pbtxt"
    ).read_text()
    items = re.findall(r'item \{\n  name: "([a-z ]+)"\n  id: (\d+)\n\}\n', label_map)
    assert [(name, int(number)) for name, number in items] == [(a.name, a.id) for a in ACTIONS]
    assert len({action.id for action in ACTIONS}) == len(ACTIONS)
    rows = read_rows(tiny / "annotations" / f"ava_{split}_v2.1.csv")
    assert {(row[0], row[1]) for row in rows} == {
        (video, second)
        for video in ("toy_train_000", "toy_train_001", "toy_val_000")
        if split in video
        for second in ("0902", "0903", "0904")
    }
    for row in rows:
        assert len(row) == 8
        assert all(re.fullmatch(r"[01]\.\d{3}", value) for value in row[2:6])
        x1, y1, x2, y2 = map(float, row[2:6])
        assert 0 <= x1 < x2 <= 1
        assert 0 <= y1 < y2 <= 1
        assert int(row[6]) in {action.id for action in ACTIONS}
    assert len({tuple(row[:2] + row[6:]) for row in rows}) == len(rows)


def test_excluded_seconds_are_annotated_key_frames(tiny: Path) -> None:
    excluded = read_rows(tiny / "annotations" / "ava_val_excluded_timestamps_v2.1.csv")
    annotated = read_rows(tiny / "annotations" / "ava_val_v2.1.csv")
    assert len(excluded) == 1
    assert {tuple(row) for row in excluded} < {tuple(row[:2]) for row in annotated}


def test_annotation_belongs_to_first_frame_of_its_second(tiny: Path) -> None:
    """Seconds and frames are counted from 900, four a second: 902 is the ninth frame."""
    scene = make_scene(np.random.default_rng([0, files.SPLITS.index("val"), 0]), 900, 7)
    expected = Renderer(scene, 64)(902.0).astype(int)
    first = min((tiny / "frames" / "toy_val_000" / "00902").iterdir())
    stored = cv2.imread(str(first))[..., ::-1].astype(int)
    assert np.abs(stored - expected).mean() < 5  # what JPEG leaves
    row = read_rows(tiny / "annotations" / "ava_val_v2.1.csv")[0]
    np.testing.assert_allclose(np.array(row[2:6], float), scene.boxes(902.0)[0], atol=5.1e-4)


def test_demo_video_has_its_own_annotation(tiny: Path) -> None:
    with av.open(str(tiny / "videos" / "toy_demo_000.mp4")) as container:
        frames = list(container.decode(video=0))
        assert container.streams.video[0].average_rate == 24
    assert [(frame.width, frame.height) for frame in frames] == [(64, 64)] * 48
    rows = read_rows(tiny / "videos" / "toy_demo_000.csv")
    assert {(row[0], row[1]) for row in rows} == {
        ("toy_demo_000", "0000"),
        ("toy_demo_000", "0001"),
    }


def test_same_seed_gives_same_bytes(tiny: Path, tmp_path: Path) -> None:
    generate_toy_dataset(tmp_path / "again", **TINY)
    generate_toy_dataset(tmp_path / "other", **TINY, seed=1)
    for path in (path for path in tiny.rglob("*") if path.suffix in (".csv", ".jpg", ".json")):
        relative = path.relative_to(tiny)
        assert (tmp_path / "again" / relative).read_bytes() == path.read_bytes(), relative
    for name in ("annotations/ava_train_v2.1.csv", "frames/toy_train_000/00902"):
        path = tiny / name
        path = min(path.iterdir()) if path.is_dir() else path
        assert (tmp_path / "other" / path.relative_to(tiny)).read_bytes() != path.read_bytes()


def test_train_and_val_differ(tiny: Path) -> None:
    rows = {
        split: read_rows(tiny / "annotations" / f"ava_{split}_v2.1.csv")
        for split in ("train", "val")
    }
    assert not {row[0] for row in rows["train"]} & {row[0] for row in rows["val"]}
    assert not {tuple(row[2:6]) for row in rows["train"]} & {tuple(row[2:6]) for row in rows["val"]}


def test_existing_dataset_is_kept(tiny: Path) -> None:
    before = (tiny / "toy.json").stat().st_mtime_ns
    summary = generate_toy_dataset(tiny, **TINY)
    assert not summary.created
    assert summary.splits["val"].key_frames == 3
    assert sum(summary.splits["val"].rows.values()) == len(
        read_rows(tiny / "annotations" / "ava_val_v2.1.csv")
    )
    with pytest.raises(FileExistsError, match=r"another toy dataset: seed 0, not 7; force"):
        generate_toy_dataset(tiny, **TINY, seed=7)
    assert (tiny / "toy.json").stat().st_mtime_ns == before


def test_force_replaces_toy_datasets_only(tmp_path: Path) -> None:
    root = tmp_path / "toy"
    small = {**TINY, "train_videos": 1, "seconds": 1, "demo_videos": 0}
    generate_toy_dataset(root, **small)
    assert generate_toy_dataset(root, force=True, **small, seed=1).created
    (root / "toy.json").unlink()
    with pytest.raises(FileExistsError, match="no toy dataset"):
        generate_toy_dataset(root, force=True, **small)
    assert (root / "frames").is_dir()
    assert [path.name for path in tmp_path.iterdir()] == ["toy"]


SMALLEST = {**TINY, "train_videos": 1, "val_videos": 1, "seconds": 1, "demo_videos": 0}


@pytest.mark.parametrize(
    "name",
    [
        "notes.txt",
        "frames/mine/x.jpg",
        "frames/toy_train_000/00902/x.jpg",
        "videos/my.mp4",
        "empty/",
    ],
)
def test_force_does_not_take_a_file_of_the_user_s(tmp_path: Path, name: str) -> None:
    root = tmp_path / "toy"
    generate_toy_dataset(root, **SMALLEST)
    mine = root / name
    mine.parent.mkdir(parents=True, exist_ok=True)
    mine.mkdir() if name.endswith("/") else mine.write_text("precious")
    before = sorted(root.rglob("*"))
    with pytest.raises(FileExistsError, match=r"is not of the toy dataset; move it away first"):
        generate_toy_dataset(root, force=True, **SMALLEST, seed=1)
    assert sorted(root.rglob("*")) == before


def test_what_a_killed_run_left_is_cleared_away(tmp_path: Path) -> None:
    root = tmp_path / "toy"
    for name in (".toy.unfinished/frames/toy_train_000", ".toy.99999999.new/frames"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / ".toy.99999999.old").mkdir()
    (tmp_path / ".toy.99999999.old" / "mine.txt").write_text("precious")
    generate_toy_dataset(root, **SMALLEST)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".toy.99999999.old", "toy"]
    assert not (root / ".step-lock").exists()


def test_a_kill_between_two_renamings_loses_no_dataset(tmp_path: Path) -> None:
    root = tmp_path / "toy"
    generate_toy_dataset(root, **SMALLEST)
    root.rename(tmp_path / ".toy.replaced")
    assert not generate_toy_dataset(root, **SMALLEST).created
    assert [path.name for path in tmp_path.iterdir()] == ["toy"]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"version": 3, "settings": {"seed": []}}'])
def test_a_broken_manifest_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "toy.json").write_text(content)
    with pytest.raises(ValueError, match=r"toy\.json: "):
        generate_toy_dataset(tmp_path, **SMALLEST)


def test_interrupted_run_leaves_nothing(tmp_path: Path) -> None:
    def stop(video: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate_toy_dataset(tmp_path / "toy", on_video=stop, **TINY)
    assert not list(tmp_path.iterdir())


def test_bad_settings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="train_videos: expected 1 to 100000, got 1844674407"):
        generate_toy_dataset(tmp_path / "toy", train_videos=2**64)
    with pytest.raises(ValueError, match="seconds: expected 1 to 3600, got 0"):
        generate_toy_dataset(tmp_path / "toy", seconds=0)
    with pytest.raises(ValueError, match=r"demo_size: H.264 needs an even number, got 65"):
        generate_toy_dataset(tmp_path / "toy", demo_size=65)


def test_command_writes_and_summarises(tmp_path: Path) -> None:
    script = Path(__file__).parents[1] / "scripts" / "make_toy_dataset.py"
    options = [f"--{name.replace('_', '-')}={value}" for name, value in TINY.items()]
    command = [sys.executable, str(script), f"--root={tmp_path / 'toy'}", *options]
    first = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "written\ntrain: 2 videos, 6 key frames (1 excluded)" in first.stdout
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert again.stdout == first.stdout.replace("written", "already there, nothing done")
    other = subprocess.run([*command, "--seed=1"], capture_output=True, text=True)
    assert other.returncode == 2
    assert other.stderr.startswith(f"error: {tmp_path / 'toy'} holds another toy dataset: seed 0")


# ---------------------------------------------------------------------------------------- scenes


def test_many_persons_move_and_some_do_two_things() -> None:
    split = files.SplitSummary()
    for seed in range(8):
        files._count(split, scene_of(seed), range(902, 918))
    assert split.movers >= 0.4 * split.persons
    assert 0.2 * split.persons <= split.two_labels <= 0.8 * split.persons
    assert len(ACTIONS) >= 6
    assert min(split.rows.values()) >= 0.05 * split.persons


def test_label_holds_half_a_second_around_key_frame() -> None:
    for actor, track in scene_of(3, count=3).actors:
        for key in range(902, 918):
            speeds = (track.pose(key + 0.499) - track.pose(key - 0.5)) / 0.999
            expected = sum(rates(actor, action) for action in track.actions_at(key))
            np.testing.assert_allclose(speeds, expected, atol=1e-9)


def test_figures_stay_inside() -> None:
    for seed in range(6):
        for actor, track in scene_of(seed).actors:
            points = np.concatenate(
                [s.points for t in np.arange(900, 920, 0.2) for s in figure(actor, track.pose(t))]
            )
            assert points.min() >= 0
            assert points.max() <= 1


def test_actors_rarely_cover_each_other() -> None:
    covered = []
    for scene in (scene_of(seed, count=2) for seed in range(10)):
        for box, other in (scene.boxes(time) for time in range(902, 918)):
            sides = np.minimum(box[2:], other[2:]) - np.maximum(box[:2], other[:2])
            covered.append(np.clip(sides, 0, None).prod() / (box[2:] - box[:2]).prod())
    assert np.mean(np.array(covered) > 0.3) < 0.08


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.name)
def test_box_is_tight(action: Action) -> None:
    """The actor's silhouette, painted white on black, ends where its box does."""
    scene = doing(scene_of(1), action, phases=1.0)
    (actor, track) = scene.actors[0]
    for time in (-0.4, 0.0, 0.3):
        canvas = np.zeros((256, 256, 3), np.uint8)
        shapes = figure(actor, track.pose(time))
        paint(canvas, [Shape(shape.points, (255, 255, 255)) for shape in shapes], 256)
        ys, xs = np.nonzero(canvas[..., 0] > 127)
        painted = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
        np.testing.assert_allclose(256 * scene.boxes(time)[0], painted, atol=1.5)


@pytest.mark.parametrize("action", [*LOCOMOTION, *GESTURES], ids=lambda action: action.name)
def test_only_motion_tells_actions_apart(action: Action) -> None:
    """In the same pose every action looks the same; half a second on, all but standing moved."""
    pose = 0.7
    stand = Renderer(doing(scene_of(2), BY_NAME["stand"], pose), 64)
    picture = Renderer(doing(scene_of(2), action, pose), 64)
    np.testing.assert_array_equal(picture(0.0), stand(0.0))
    later = max(int(np.ptp([picture(0.0), picture(t)], axis=0).max()) for t in (0.1, 0.2, 0.3))
    assert (later > 50) == (action.name != "stand")


def test_walking_left_is_walking_right_backwards() -> None:
    """A step swings like a sine, at its turning point here, so that it looks the same both ways."""
    left = Renderer(doing(scene_of(4), BY_NAME["walk left"], np.pi / 2), 64)
    right = Renderer(doing(scene_of(4), BY_NAME["walk right"], np.pi / 2), 64)
    for time in (0.1, 0.25, 0.4):
        np.testing.assert_allclose(left(time).astype(int), right(-time), atol=2)
        assert np.abs(left(time).astype(int) - right(time)).max() > 50


def test_poses_have_one_distribution_for_all_actions() -> None:
    """Where a step or a hop stands at key frames does not depend on the label."""
    phases: dict[str, list[Array]] = defaultdict(list)
    for seed in range(30):
        for _, track in scene_of(seed).actors:
            for key in range(902, 918):
                pose = track.pose(key)[[STRIDE, HOP]]
                for action in track.actions_at(key):
                    phases[action.name].append(np.concatenate([np.sin(pose), np.cos(pose)]))
    for name, found in phases.items():
        # Uniform phases have mean 0 and deviation 0.71; an actor's key frames hang together.
        assert np.abs(np.mean(found, axis=0)).max() < 0.3, name


def test_large_picture_shrinks_to_small_one() -> None:
    """A scene at 256 pixels, resized as the network's input is, looks like the training frames."""
    scene = scene_of(5, count=3)
    small = Renderer(scene, 64)(905.0).astype(int)
    large = Renderer(scene, 256)(905.0)
    resized = cv2.resize(large, (64, 64), interpolation=cv2.INTER_LINEAR).astype(int)
    # The averages of both agree; bilinear sampling without averaging sharpens edges.
    assert np.abs(shrink(large, 64).astype(int) - small).mean() < 1
    assert np.abs(resized - small).mean() < 3


def test_number_of_actors() -> None:
    counts = Counter(len(scene_of(seed, seconds=3).actors) for seed in range(30))
    assert set(counts) == {1, 2, 3}


def test_gestures_are_at_rest_at_key_frames_and_where_they_end() -> None:
    """So the key frame alone does not tell them, and no arm jumps from one second to the next."""
    moved = 0.0
    for seed in range(5):
        for _, track in scene_of(seed).actors:
            for time in np.arange(902.0, 918.0, 0.5):
                np.testing.assert_allclose(np.cos(track.pose(time)[[WAVE, FLASH]]), 1.0)
                moved = max(moved, 1 - np.cos(track.pose(time + 0.2)[[WAVE, FLASH]]).min())
    assert moved > 1
