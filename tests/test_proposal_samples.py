"""Samples of SSN: what is drawn, when it is drawn anew, what is wrong with a dataset named."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from data.datasets.proposal_samples import ProposalSamples
from data.datasets.segment_set import read_segment_set
from data.images import read_image
from data.prepare.joins import JoinRules, Piece, draw_join, write_join
from data.video.file import VideoFile
from data.video.writer import write_video
from recipes.ssn_data import build_segment_samples, build_windows
from tests.segment_runs import FPS, SECONDS, write_segment_data
from utils.config.actionness import ActionnessConfig
from utils.config.segments import SegmentData
from utils.config.ssn import SSNConfig
from utils.segment_structures import collate_proposals
from utils.structures import ProposalKind

KINDS = [ProposalKind.FOREGROUND, *[ProposalKind.INCOMPLETE] * 6, ProposalKind.BACKGROUND]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_segment_data(tmp_path_factory.mktemp("segments"))


@pytest.fixture
def data(made: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(made, tmp_path / "data"))


def settings(root: Path, modality: str = "RGB", kind: type = SSNConfig, **changes: object):
    config = kind()
    for name, value in {"root": str(root), "annotation": "segments_train.csv", **changes}.items():
        setattr(config.data, name, value)
    config.data.frame_size = []
    config.model.backbone, config.model.width, config.model.side = "tiny2d", 4, 32
    config.model.modality = modality
    return config


def samples(root: Path, split: str = "train", modality: str = "RGB", **changes) -> ProposalSamples:
    return build_segment_samples(settings(root, modality, **changes), split)


@pytest.mark.parametrize(("modality", "channels"), [("RGB", 3), ("Flow", 10), ("RGBDiff", 15)])
def test_a_sample_has_the_proposals_of_a_video(made: Path, modality: str, channels: int):
    found = samples(made, modality=modality)
    assert len(found) == 4 * 10
    sample = found[0, 5]
    assert sample.snippets.shape == (8, 9, channels, 32, 32)
    assert sample.snippets.dtype == (torch.float32 if modality == "RGBDiff" else torch.uint8)
    assert sample.kinds.tolist() == KINDS
    assert ((sample.labels == 0) == (sample.kinds == ProposalKind.BACKGROUND)).all()
    assert (sample.targets[1:] == 0).all()
    assert found.describe(5) == f"video {sample.video}" == "video a2"
    batch = collate_proposals([sample, found[0, 6]])
    assert (batch.videos, batch.counts.tolist()) == (["a2", "a3"], [2, 12, 2])
    first, second = batch.split(2)
    assert (second.videos, second.counts.tolist()) == (["a3"], [2, 12, 2])
    assert torch.equal(torch.cat([first.snippets, second.snippets]), batch.snippets)


def test_training_draws_anew_in_each_epoch_and_validation_never(made: Path):
    train, val = samples(made), samples(made, "val")
    assert torch.equal(train[1, 3].snippets, train[1, 3].snippets)
    assert not torch.equal(train[1, 3].snippets, train[2, 3].snippets)
    assert not torch.equal(train[1, 3].snippets, train[1, 7].snippets)  # the video's second draw
    assert torch.equal(val[1, 1].snippets, val[2, 1].snippets)
    assert len(val) == 2


def test_what_is_seen_of_a_foreground_proposal_is_its_colour(made: Path):
    # The middle of the frame is red or blue within a segment; the course is snippets 2 to 6.
    for index in range(8):
        sample = samples(made)[0, index]
        colour = sample.snippets[0, 4].float().mean(dim=(1, 2))  # [3]
        red = bool(colour[0] > colour[2])
        assert red == (int(sample.labels[0]) == 2), index  # blue is class 1, red 2


def test_windows_are_action_or_background(made: Path):
    found = build_windows(settings(made, kind=ActionnessConfig), "train")
    sample = found[0, 0]
    assert sample.snippets.shape == (12, 5, 3, 32, 32)
    assert sample.labels.tolist() == [1, 1, 1, *[0] * 9]
    val = build_windows(settings(made, kind=ActionnessConfig), "val")
    assert val[0, 0].labels.tolist() == [1] * 6 + [0] * 6
    assert found.classes == {0: "background", 1: "action"}


def test_frames_may_be_in_a_video_file(data: Path):
    folder = samples(data, "val")[0, 0].snippets
    # Image k of a folder is frame k + 1 of the file: one more comes first.
    pieces = [Piece(_film(data / "frames" / "b1", data / "b1.mp4"), 0.0, SECONDS + 1 / FPS)]
    shutil.rmtree(data / "frames" / "b1")
    write_join(data / "frames" / "b1.mp4", pieces, FPS)
    found = samples(data, "val")[0, 0].snippets
    assert found.shape == folder.shape
    assert (found.float() - folder.float()).abs().mean() < 8  # two lossy encodings


def _film(folder: Path, path: Path) -> Path:
    """A video of a folder's images, the first twice."""
    images = [read_image(p) for p in sorted(folder.glob("img_*.jpg"))]
    write_video(path, [images[0], *images], FPS)
    return path


# ------------------------------------------------------------------------------ bad input


def test_missing_videos_are_counted_and_named(data: Path, capsys: pytest.CaptureFixture):
    shutil.rmtree(data / "frames" / "a2")
    found = samples(data)
    assert len(found) == 3 * 10
    assert f"1 of 4 videos are not in {data / 'frames'}: a2" in capsys.readouterr().out


def _no_flow(data: Path) -> None:
    for path in (data / "frames" / "a3").glob("flow_*"):
        path.unlink()


def _fewer_y(data: Path) -> None:
    (data / "frames" / "a3" / "flow_y_00119.jpg").unlink()


def _other_class(data: Path) -> None:
    path = data / "proposals_train.txt"
    path.write_text(path.read_text().replace("2 0.1500 0.4000", "7 0.1500 0.4000", 1))


def _other_frames(data: Path) -> None:
    text = (data / "proposals_train.txt").read_text().replace("a1\n1\n1\n", "a1\n99\n1\n")
    (data / "proposals_train.txt").write_text(text)


def _truncated(data: Path) -> None:
    lines = (data / "proposals_train.txt").read_text().splitlines()
    (data / "proposals_train.txt").write_text("\n".join(lines[:-3]))


def _no_background(data: Path) -> None:
    text = "# 1\na1\n1\n1\n1\n2 0.1500 0.4000\n1\n2 0.9000 0.9000 0.1500 0.4100\n"
    (data / "proposals_train.txt").write_text(text)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_no_flow, r"a3: expected files flow_x_%05d\.jpg"),
        (_fewer_y, "a3: expected equally many flow images of x and y, got 119 and 118"),
        (_other_class, r"proposals_train\.txt: video a1: label 7, expected 1 to 2"),
        (_other_frames, r"video a1: made for 99 frames, but \S+a1 has 120: convert the normalised"),
        (_truncated, r"proposals_train\.txt.*(ends|expected)"),
        (_no_background, r"proposals_train\.txt: no video has a proposal that is incomplete"),
        (lambda data: (data / "proposals_train.txt").unlink(), r"proposals_train\.txt"),
        (lambda data: (data / "segments_train.csv").unlink(), r"segments_train\.csv"),
        (lambda data: shutil.rmtree(data / "frames"), "frames: no such folder of videos"),
    ],
)
def test_what_is_wrong_is_named_before_any_training(data: Path, damage, message: str):
    damage(data)
    with pytest.raises(ValueError, match=message):
        samples(data, modality="Flow")


def test_a_frame_that_cannot_be_read_is_replaced_in_training_only(data: Path):
    for path in (data / "frames" / "a1").glob("img_0*5.jpg"):
        path.write_bytes(path.read_bytes()[:200])
    for path in (data / "frames" / "b1").glob("img_*.jpg"):
        path.write_bytes(path.read_bytes()[:200])
    found = samples(data)
    sample = next(s for s in (found[epoch, 0] for epoch in range(9)) if s.unreadable)
    assert all(path.endswith("5.jpg") for path in sample.unreadable)
    with pytest.raises(ValueError, match=r"b1.img_\d+\.jpg: not a readable image"):
        samples(data, "val")[0, 0]


def test_annotated_videos_alone_are_kept_unless_all_are_wanted(data: Path):
    with (data / "proposals_train.txt").open("a") as file:
        file.write("# 5\nb1\n1\n1\n0\n1\n0 0.0000 0.0000 0.2000 0.4000\n")
    options = SegmentData(root=str(data), annotation="segments_train.csv", frame_size=[])
    assert [v.video for v in read_segment_set(options, "train", "RGB").videos][-1] == "a4"
    every = read_segment_set(options, "train", "RGB", keep_unannotated=True)
    assert [v.video for v in every.videos][-1] == "b1"
    with pytest.raises(ValueError, match=r"num_classes is 3, but \S+ has 2 classes"):
        read_segment_set(options, "train", "RGB", 3)


def test_proposals_outside_their_video_are_counted(data: Path):
    options = SegmentData(root=str(data), annotation="segments_train.csv", frame_size=[])
    path = data / "proposals_train.txt"
    # Sliding windows reach beyond the end.
    usual = read_segment_set(options, "train", "RGB").note
    cut = f"{path}: 28 proposals cut that reach beyond their video (of 4 videos, such as a1)"
    assert usual == cut
    lines = path.read_text().splitlines()
    place = lines.index("a2") + 6  # after the two numbers, one segment and the number of proposals
    lines[place] = "0 0.0000 0.0000 1.2000 1.4000"
    lines[place + 1] = "0 0.0000 0.0000 0.4000 0.4000"
    lines[place + 2] = "0 0.0000 0.0000 -0.4000 0.0000"
    lines[place + 3] = "0 0.0000 0.0000 -0.1000 0.2000"
    path.write_text("\n".join(lines) + "\n")
    found = read_segment_set(options, "train", "RGB")
    left_out, cut = found.note.splitlines()
    assert left_out.startswith(f"{path}: 3 proposals left out that lie outside their video")
    assert left_out.endswith("(of 1 videos, such as a2)")
    assert f"{path}: 29 proposals cut" in cut
    spans = found.videos[1].spans
    assert spans[0].tolist() == [0, FPS * SECONDS // 5]
    assert spans.min() == 0
    assert spans.max() == FPS * SECONDS


# ------------------------------------------------------------------------------ joins


def test_a_join_says_where_its_actions_are(data: Path, tmp_path: Path):
    film = _film(data / "frames" / "a3", tmp_path / "a3.mp4")  # red from 2 s to 7 s, and later
    pieces = [Piece(film, 0.0, 1.5), Piece(film, 3.0, 5.0, "red"), Piece(film, 0.2, 1.0)]
    segments, duration = write_join(tmp_path / "join.mp4", pieces, FPS)
    assert segments == [(1.5, 3.5, "red")]
    assert duration == pytest.approx(4.3, abs=1 / FPS)
    reds = [
        (float(time), bool(image[:, 40:120].mean(axis=(0, 1))[0] > 140))
        for time, image in VideoFile(tmp_path / "join.mp4").frames()
    ]
    assert next(time for time, red in reds if red) == pytest.approx(1.5, abs=1.1 / FPS)
    assert [time for time, red in reds if red][-1] == pytest.approx(3.5, abs=1.1 / FPS)
    assert len(reds) == round(duration * FPS)


def test_joins_of_two_shares_have_no_frame_in_common():
    background, one, other = (Path(f"{name}.mp4") for name in ("w", "a", "b"))
    durations = {background: 10.0, one: 9.0, other: 12.0}
    actions = {"a": one, "b": other}
    rng = np.random.default_rng(0)
    for share in ((0.0, 0.6), (0.6, 1.0)):
        pieces = draw_join(background, actions, durations, JoinRules(share=share), rng)
        assert [bool(p.label) for p in pieces] == [i % 2 == 1 for i in range(13)]
        assert sorted(p.label for p in pieces if p.label) == ["a"] * 3 + ["b"] * 3
        for piece in pieces:
            low, high = (s * durations[piece.source] for s in share)
            assert low <= piece.start < piece.end <= high + 1e-9
    with pytest.raises(ValueError, match=r"w\.mp4: 1\.00 s to cut from, expected pieces of 1\.5"):
        draw_join(background, actions, durations, JoinRules(share=(0.9, 1.0)), rng)
