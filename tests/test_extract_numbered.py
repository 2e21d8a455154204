"""Frames and flow of videos in UCF101-24's layout: what is written, resumed, refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from data.flow import FlowFolder, to_brox
from data.prepare.flow import (
    PRESETS,
    FlowSettings,
    Method,
    flow_fields,
    make_method,
    source_images,
)
from data.prepare.manifest import MANIFEST, RECORD
from data.prepare.numbered import Job, read_numbered_record
from data.prepare.numbered_frames import FrameSettings, every_frame, extract_frames_whole
from data.prepare.numbered_inputs import chosen, find_jobs
from data.prepare.raft import raft_method
from data.video.file import TimedFrame, VideoFile
from data.video.writer import write_video
from tests.entries import Script
from tests.helpers import SHARED, needs_shared

HEIGHT, WIDTH = 48, 64
TEXTURE = cv2.GaussianBlur(
    np.random.default_rng(0).integers(0, 256, (HEIGHT, 4 * WIDTH, 3)).astype(np.uint8), (0, 0), 2
)
TEXTURE = cv2.normalize(TEXTURE, None, 0, 255, cv2.NORM_MINMAX)


def moving(count: int, step: int = 2) -> list[np.ndarray]:
    """Frames of texture that moves `step` pixels to the right from each to the next."""
    return [TEXTURE[:, 2 * WIDTH - step * i : 3 * WIDTH - step * i].copy() for i in range(count)]


def write_frames(folder: Path, images: list[np.ndarray]) -> Path:
    folder.mkdir(parents=True)
    for number, image in enumerate(images, 1):
        cv2.imwrite(str(folder / f"{number:05d}.png"), image[..., ::-1])
    return folder


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """UCF101's layout: one class with a good video and one that is none."""
    folder = tmp_path / "UCF-101"
    (folder / "Biking").mkdir(parents=True)
    write_video(folder / "Biking" / "v_Biking_g01_c01.avi", iter(moving(7)), 25)
    (folder / "Biking" / "v_Biking_g01_c02.avi").write_bytes(b"no video")
    return folder


@pytest.fixture
def frames_script(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Script:
    return Script("scripts/extract_frames", monkeypatch, capsys)


@pytest.fixture
def flow_script(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Script:
    return Script("scripts/extract_flow", monkeypatch, capsys)


def test_frames_are_extracted_and_a_corrupt_video_is_named(
    videos: Path, tmp_path: Path, frames_script: Script
) -> None:
    output = tmp_path / "rgb-images"
    outcome = frames_script(videos, "--output", output, "--workers", 1)
    assert outcome.code == 1
    assert "v_Biking_g01_c02.avi" in outcome.err
    assert "1 extracted, 0 there already, 1 failed: Biking/v_Biking_g01_c02" in outcome.out
    folder = output / "Biking" / "v_Biking_g01_c01"
    names = sorted(path.name for path in folder.iterdir())
    assert names == [*(f"{i:05d}.jpg" for i in range(1, 8)), RECORD]
    for number, image in enumerate(moving(7), 1):
        found = cv2.imread(str(folder / f"{number:05d}.jpg"))[..., ::-1]
        assert np.abs(found.astype(int) - image).mean() < 12
    record = read_numbered_record(folder)
    assert record is not None
    assert (record.kind, record.files, record.height, record.width) == ("frames", 7, HEIGHT, WIDTH)
    manifest = json.loads((output / MANIFEST).read_text())
    assert list(manifest["videos"]) == ["Biking/v_Biking_g01_c01"]
    assert sorted(path.name for path in (output / "Biking").iterdir()) == ["v_Biking_g01_c01"]

    # Again: what is there stays; other settings are told of; --replace makes it anew.
    ids = tmp_path / "list.txt"
    ids.write_text("Biking/v_Biking_g01_c01\n")
    before = (folder / "00001.jpg").stat().st_mtime_ns
    some = (videos, "--output", output, "--list", ids, "--workers", 1)
    outcome = frames_script(*some)
    assert (outcome.code, (folder / "00001.jpg").stat().st_mtime_ns) == (0, before)
    assert "0 extracted, 1 there already, 0 failed" in outcome.out
    outcome = frames_script(*some, "--short-side", 24)
    assert outcome.code == 1
    assert f"error: {folder}: kept, though short_side 0, now 24" in outcome.err
    assert frames_script(*some, "--short-side", 24, "--replace").code == 0
    assert cv2.imread(str(folder / "00007.jpg")).shape == (24, 32, 3)
    (folder / "mine.txt").write_text("mine")
    said = frames_script.refuses(*some, "--replace")
    assert f"{folder / 'mine.txt'}: is not of this extraction" in said
    assert (folder / "mine.txt").read_text() == "mine"


def test_flow_of_frames_moves_as_they_do(tmp_path: Path, flow_script: Script) -> None:
    """Texture that moves 2 pixels to the right; the last flow repeats the one before."""
    frames = write_frames(tmp_path / "rgb-images" / "Biking" / "v_Biking_g01_c01", moving(4))
    output = tmp_path / "flow"
    outcome = flow_script(frames.parent.parent, "--output", output, "--workers", 1)
    assert outcome.code == 0, outcome.err
    folder = FlowFolder(output / "Biking" / "v_Biking_g01_c01")
    folder.check(4)
    assert folder.read(1).shape == (2, HEIGHT, WIDTH)
    assert (folder.kind, folder.count) == ("brox", 4)
    for number in range(1, 5):
        u, v = np.median(folder.read(number).reshape(2, -1), axis=1)
        assert u == pytest.approx(2, abs=0.15)
        assert v == pytest.approx(0, abs=0.15)
    contents = [(folder.path / f"{i:05d}.jpg").read_bytes() for i in (3, 4)]
    assert contents[0] == contents[1]
    record = read_numbered_record(folder.path)
    assert record is not None
    assert record.kind == "flow"
    assert "DIS" in record.made_by
    # A frame changes: the flow that is there is no longer its own.
    cv2.imwrite(str(frames / "00002.png"), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    outcome = flow_script(frames.parent.parent, "--output", output)
    assert outcome.code == 1
    assert "kept, though bytes" in outcome.err


@pytest.mark.parametrize("storage", ["tsn", "npy", "flo"])
def test_flow_of_a_video_in_each_kind_of_file(
    videos: Path, tmp_path: Path, flow_script: Script, storage: str
) -> None:
    video = videos / "Biking" / "v_Biking_g01_c01.avi"
    output = tmp_path / "flow"
    options = ("--method", "farneback", "--storage", storage, "--workers", 1)
    assert flow_script(video, "--output", output, *options).code == 0
    folder = FlowFolder(output / "Biking" / "v_Biking_g01_c01")
    assert (folder.kind, folder.count) == (storage, 7)
    assert np.median(folder.read(3)[0]) == pytest.approx(2, abs=0.3)


def test_flow_of_duplicated_frames_is_a_neighbours(tmp_path: Path, flow_script: Script) -> None:
    """Frame 4 stands twice: flow 4 shows no motion and becomes flow 3."""
    images = moving(7)
    images.insert(4, images[3])
    frames = write_frames(tmp_path / "f" / "Biking" / "v", images)
    for name, options in (("plain", ()), ("treated", ("--dedupe-motionless",))):
        code = flow_script(frames, "--output", tmp_path / name, "--storage", "npy", *options).code
        assert code == 0
    plain, treated = (FlowFolder(tmp_path / n / "Biking" / "v") for n in ("plain", "treated"))
    assert to_brox(plain.read(4)).var() < 1.5
    np.testing.assert_array_equal(treated.read(4), plain.read(3))
    for number in (1, 2, 3, 5, 6, 7, 8):
        np.testing.assert_array_equal(treated.read(number), plain.read(number))


def test_flow_of_one_frame_is_none(tmp_path: Path) -> None:
    method = Method("", lambda image: image, lambda a, b: np.ones((HEIGHT, WIDTH, 2)))
    fields = list(flow_fields(iter(moving(1)), method))
    assert len(fields) == 1
    assert not fields[0].any()
    assert [float(f.max()) for f in flow_fields(iter(moving(3)), method)] == [1, 1, 1]


def test_raft_takes_images_of_any_size(tmp_path: Path) -> None:
    """Random weights: what is tested is the way in and out, and that weights are checked."""
    torch = pytest.importorskip("torch")
    from torchvision.models.optical_flow import raft_small

    torch.manual_seed(0)
    torch.save(raft_small(weights=None).state_dict(), tmp_path / "raft.pth")
    settings = FlowSettings(method="raft-small", weights=str(tmp_path / "raft.pth"))
    method = make_method(settings)
    assert "raft_small" in method.name
    a, b = (method.prepare(image) for image in moving(2))
    assert a[0].shape == (1, 3, 128, 128)
    assert (a[0].min() >= -1, a[0].max() <= 1) == (True, True)
    flow = method.between(a, b)
    assert flow.shape == (HEIGHT, WIDTH, 2)
    assert np.isfinite(flow).all()
    with pytest.raises(ValueError, match=r"raft\.pth: not weights of raft_large"):
        raft_method(tmp_path / "raft.pth", large=True)
    with pytest.raises(ValueError, match=r"none\.pth: no such file of weights"):
        raft_method(tmp_path / "none.pth", large=False)


@pytest.mark.skipif(hasattr(cv2, "optflow"), reason="OpenCV has its extra modules")
def test_what_tvl1_needs_is_said_before_any_work(tmp_path: Path, flow_script: Script) -> None:
    frames = write_frames(tmp_path / "f" / "Biking" / "v", moving(2))
    said = flow_script.refuses(frames, "--output", tmp_path / "out", "--method", "tvl1")
    assert "install opencv-contrib-python" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"method": "brox"}, "method: expected one of dis, farneback"),
        ({"preset": "slow"}, "preset: expected one of ultrafast"),
        ({"storage": "png"}, "storage: expected one of brox"),
        ({"quality": 0}, "quality: expected 1 to 100, got 0"),
        ({"weights": "w.pth"}, "weights: expected a file for raft"),
        ({"method": "raft"}, "weights: expected a file for raft"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FlowSettings(**wrong)


def test_frames_that_never_decode_are_damage(tmp_path: Path, monkeypatch) -> None:
    write_video(tmp_path / "v.mp4", iter(moving(10)), 10)
    file = VideoFile(tmp_path / "v.mp4")
    frames: list[TimedFrame] = list(file.frames())
    for lost, message in (((4, 6), "0.400 s"), ((0, 2), "0.000 s"), ((8, 10), "0.800 s")):
        left = frames[: lost[0]] + frames[lost[1] :]
        monkeypatch.setattr(VideoFile, "frames", lambda *_, left=left, **__: iter(left))
        with pytest.raises(ValueError, match=rf"v\.mp4: damaged: no frame decodes at {message}"):
            list(every_frame(file))
    monkeypatch.setattr(VideoFile, "frames", lambda *_, **__: iter(frames[:4] + frames[5:]))
    assert len(list(every_frame(file))) == 9
    monkeypatch.setattr(VideoFile, "frames", lambda *_, **__: iter(frames[:3]))
    with pytest.raises(ValueError, match=r"v\.mp4: damaged"):
        extract_frames_whole(Job(tmp_path / "v.mp4", tmp_path / "out", "C/v"), FrameSettings())
    assert list((tmp_path / "out" / "C").iterdir()) == []


def test_frames_of_two_sizes_are_named(tmp_path: Path) -> None:
    frames = write_frames(tmp_path / "v", moving(2))
    cv2.imwrite(str(frames / "00003.png"), np.zeros((9, 9, 3), np.uint8))
    with pytest.raises(ValueError, match=r"00003\.png: size \(9, 9\), expected"):
        list(source_images(frames))


def test_classes_are_of_the_name_or_of_the_folder(tmp_path: Path) -> None:
    for name in ("Biking/a.avi", "v_Diving_g02_c01.avi", "Biking/v_HorseRiding_g1_c1.mp4"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).touch()
    (tmp_path / "in" / "readme.txt").touch()
    write_frames(tmp_path / "in" / "Biking" / "frames", moving(1))
    jobs = find_jobs([tmp_path / "in"], tmp_path / "out", frames=False)
    assert sorted(job.video for job in jobs) == [
        "Biking/a", "Diving/v_Diving_g02_c01", "HorseRiding/v_HorseRiding_g1_c1"
    ]  # fmt: skip
    jobs = find_jobs([tmp_path / "in", tmp_path / "in/Biking/a.avi"], tmp_path / "out", frames=True)
    assert [job.video for job in jobs].count("Biking/a") == 1
    assert "Biking/frames" in [job.video for job in jobs]
    assert [job.video for job in chosen(jobs, ["Biking/a"], "list")] == ["Biking/a"]
    with pytest.raises(ValueError, match=r"list\.txt: no video for Biking/b, Biking/c"):
        chosen(jobs, ["Biking/b", "Biking/c", "Biking/a"], "list.txt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty: no video in this folder"):
        find_jobs([tmp_path / "empty"], tmp_path / "out", frames=False)


def test_no_input_and_nothing_of_the_users_is_hit(
    videos: Path, tmp_path: Path, frames_script: Script, flow_script: Script
) -> None:
    shutil.copy(videos / "Biking" / "v_Biking_g01_c01.avi", videos / "v_Biking_g01_c01.mp4")
    said = frames_script.refuses(videos, "--output", tmp_path / "out")
    assert "both would go to" in said
    frames = write_frames(tmp_path / "rgb" / "Biking" / "v", moving(2))
    said = flow_script.refuses(tmp_path / "rgb", "--output", tmp_path / "rgb")
    assert str(frames) in said
    assert len(list(frames.iterdir())) == 2
    (tmp_path / "out" / "Biking").mkdir(parents=True)
    (tmp_path / "out" / "Biking" / "v").write_text("mine")
    said = flow_script.refuses(tmp_path / "rgb", "--output", tmp_path / "out")
    assert "expected a folder of frames, something else is there" in said
    (tmp_path / "out" / MANIFEST).write_text("{}")
    (tmp_path / "out" / "Biking" / "v").unlink()
    assert MANIFEST in flow_script.refuses(tmp_path / "rgb", "--output", tmp_path / "out")


def test_what_a_killed_process_left_is_removed(
    videos: Path, tmp_path: Path, frames_script: Script
) -> None:
    hidden = tmp_path / "out" / "Biking" / ".unfinished-v_Biking_g01_c01"
    hidden.mkdir(parents=True)
    (hidden / ".step-made.json").touch()
    (hidden / "00001.jpg").touch()
    video = videos / "Biking" / "v_Biking_g01_c01.avi"
    assert frames_script(video, "--output", tmp_path / "out", "--workers", 1).code == 0
    assert not hidden.exists()


@needs_shared
def test_flow_of_a_real_video_is_smooth_and_small(tmp_path: Path) -> None:
    """A still camera: most pixels hardly move, some do."""
    images = []
    for frame in VideoFile(SHARED / "data/real/basketball.mp4").frames():
        images.append(cv2.resize(frame.image, (160, 120), interpolation=cv2.INTER_AREA))
        if len(images) == 4:
            break
    fields = list(flow_fields(iter(images), make_method(FlowSettings())))
    assert len(fields) == 4
    size = np.linalg.norm(fields[0], axis=0)
    assert np.median(size) < 1
    assert np.isfinite(size).all()


def test_own_videos_need_no_classes(
    videos: Path, tmp_path: Path, frames_script: Script, flow_script: Script
) -> None:
    output = tmp_path / "out"
    hidden = output / ".unfinished-other"
    hidden.mkdir(parents=True)
    (hidden / ".step-made.json").touch()
    video = videos / "Biking" / "v_Biking_g01_c01.avi"
    ids = tmp_path / "list.txt"
    ids.write_text("v_Biking_g01_c01\n")
    options = ("--flat", "--output", output, "--list", ids, "--workers", 1)
    assert frames_script(video, *options).code == 0
    assert (output / "v_Biking_g01_c01" / "00007.jpg").is_file()
    assert not hidden.exists()
    assert list(json.loads((output / MANIFEST).read_text())["videos"]) == ["v_Biking_g01_c01"]
    assert "0 extracted, 1 there already" in frames_script(video, *options).out
    flow = tmp_path / "flow"
    assert flow_script(output, "--flat", "--output", flow, "--workers", 1).code == 0
    assert FlowFolder(flow / "v_Biking_g01_c01").count == 7


def test_flow_of_frames_with_a_hole_is_refused_and_the_others_go_on(
    tmp_path: Path, flow_script: Script
) -> None:
    """All that follows the hole would be one field off, and its number of fields looks right."""
    root = tmp_path / "rgb"
    hole, zero = (write_frames(root / "Biking" / name, moving(5)) for name in ("hole", "zero"))
    (hole / "00003.png").unlink()
    for number in range(1, 6):
        (zero / f"{number:05d}.png").rename(zero / f"{number - 1:05d}.png")
    for name, pattern in (("img", "img_{:05d}.png"), ("six", "{:06d}.png")):
        folder = write_frames(root / "Biking" / name, moving(3))
        for number in range(1, 4):
            (folder / f"{number:05d}.png").rename(folder / pattern.format(number))
    outcome = flow_script(root, "--output", tmp_path / "flow", "--workers", 1)
    assert outcome.code == 1
    assert f"{hole / '00004.png'}: expected frames that are numbered from 1" in outcome.err
    assert f"{zero / '00000.png'}: expected frames that are numbered from 1" in outcome.err
    assert "2 extracted, 0 there already, 2 failed: Biking/hole, Biking/zero" in outcome.out
    made = sorted(path.name for path in (tmp_path / "flow" / "Biking").iterdir())
    assert made == ["img", "six"]


def test_flow_of_frames_keeps_the_ids_of_the_frames(
    videos: Path, tmp_path: Path, frames_script: Script, flow_script: Script
) -> None:
    """With folders of classes or without: what made the frames has written it down."""
    video = videos / "Biking" / "v_Biking_g01_c01.avi"
    (tmp_path / "own").mkdir()
    shutil.copy(video, tmp_path / "own" / "clip00.avi")
    frames = tmp_path / "ds" / "frames"
    options = ("--workers", 1, "--output")
    assert frames_script(tmp_path / "own", "--flat", *options, frames).code == 0
    assert frames_script(video, *options, frames).code == 0
    ids = ["Biking/v_Biking_g01_c01", "clip00"]
    for number, given in enumerate(([frames], [frames / "clip00", frames / "Biking"])):
        output = tmp_path / f"flow{number}"
        outcome = flow_script(*given, *options, output)
        assert outcome.code == 0, outcome.err
        assert list(json.loads((output / MANIFEST).read_text())["videos"]) == ids
    # Another tool's frames, and its manifest, say nothing.
    (frames / MANIFEST).write_text('{"videos": {"clip00": {}}}')
    jobs = find_jobs([frames], tmp_path / "out", frames=True)
    assert [job.video for job in jobs] == ["Biking/v_Biking_g01_c01", "frames/clip00"]


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(("height", "width"), [(8, 8), (3, 5), (1, 1), (10, 100), (20, 220)])
def test_dis_takes_frames_of_any_size(preset: str, height: int, width: int) -> None:
    """OpenCV refuses the smallest, and crashes on those that are wide and low."""
    method = make_method(FlowSettings(preset=preset))
    a, b = (method.prepare(np.resize(image, (height, width, 3))) for image in moving(2))
    flow = method.between(a, b)
    assert flow.shape == (height, width, 2)
    assert np.isfinite(flow).all()


def test_dis_sees_the_motion_of_wide_and_low_frames() -> None:
    method = make_method(FlowSettings())
    a, b = (method.prepare(image[:10]) for image in moving(2))
    assert np.median(method.between(a, b)[..., 0]) == pytest.approx(2, abs=0.3)


@pytest.mark.parametrize("method", ["dis", "farneback"])
def test_flow_of_small_frames_is_of_their_size(
    tmp_path: Path, flow_script: Script, method: str
) -> None:
    frames = write_frames(tmp_path / "f" / "Biking" / "v", [i[:10, :11] for i in moving(3)])
    output = tmp_path / "flow"
    outcome = flow_script(frames, "--output", output, "--method", method, "--workers", 1)
    assert outcome.code == 0, outcome.err
    assert FlowFolder(output / "Biking" / "v").read(1).shape == (2, 10, 11)


def test_flow_is_not_made_of_flow(tmp_path: Path, flow_script: Script) -> None:
    write_frames(tmp_path / "rgb" / "Biking" / "v", moving(2))
    options = ("--workers", 1, "--output")
    assert flow_script(tmp_path / "rgb", *options, tmp_path / "flow").code == 0
    outcome = flow_script(tmp_path / "flow", *options, tmp_path / "again")
    assert outcome.code == 1
    folder = tmp_path / "flow" / "Biking" / "v"
    assert f"{folder}: holds flow (as its record says), expected frames" in outcome.err
