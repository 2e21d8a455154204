"""From annotation to lists: real files through the chain, folders by name, what is missing."""

import numpy as np
import pytest

from data.datasets.segment_annotations import Segment, SegmentAnnotations
from data.datasets.segment_lists import (
    annotated_list,
    concrete_list,
    find_media,
    media_key,
    window_proposals,
)
from data.datasets.segment_proposals import THUMOS14, ProposalPools, annotated_videos
from data.datasets.thumos14 import read_thumos14
from external.anet_evaluation import THUMOS, Segments, segment_ap
from tests.helpers import SHARED
from utils.evaluation.segment_measuring import as_segments
from utils.evaluation.segments import DetectionRules, detect_segments
from utils.formats.proposal_lists import (
    ListedVideo,
    Proposal,
    TrueSegment,
    read_proposal_list,
    write_proposal_list,
)
from utils.formats.segment_scores import SegmentScores

THUMOS_FOLDER = SHARED / "data" / "thumos14"
PUBLISHED = (
    SHARED / "data" / "activitynet12" / "activitynet1.2_tag_val_normalized_proposal_list.txt"
)
real = pytest.mark.skipif(not THUMOS_FOLDER.is_dir(), reason=f"no annotation at {THUMOS_FOLDER}")


@real
def test_the_real_annotation_becomes_training_samples(tmp_path):
    """Sliding windows over THUMOS14's training videos, with made frame counts of 30 a second."""
    annotations = read_thumos14(THUMOS_FOLDER, "validation")
    frames = {v: int(30 * annotations.durations[v]) for v in annotations.segments}
    windows = window_proposals(annotations)
    made = annotated_list(annotations, {v: windows[v][:200] for v in windows}, frames)
    path = tmp_path / "list.txt"
    path.write_text(write_proposal_list(made))
    videos = annotated_videos(read_proposal_list(path))
    assert len(videos) == 200
    # The shortest instance has 0.2 s, so 6 frames: all are there, with their labels.
    assert sum(len(v.truth) for v in videos) == 2973
    labels = np.concatenate([v.truth_labels for v in videos])
    assert (labels.min(), labels.max()) == (1, 20)
    assert (labels == 5).sum() == 143  # CliffDiving
    pools = ProposalPools(videos, THUMOS14)
    drawn = pools.draw(0, np.random.default_rng(0))
    assert len(drawn) == 8
    assert np.isfinite(pools.reg_stats).all()


@real
def test_ground_truth_as_detections_gives_a_map_of_one_at_every_threshold():
    """Through lists, scores, suppression and regression; equal segments of two classes too."""
    annotations = read_thumos14(THUMOS_FOLDER, "test")
    frames = {v: int(30 * annotations.durations[v]) for v in annotations.segments}
    videos = annotated_videos(annotated_list(annotations, {}, frames))
    numbers = {v.video: i for i, v in enumerate(videos)}
    found = {}
    for video in videos:
        # Overlapping instances of one class would suppress each other below an overlap of 1.
        count = len(video.truth)
        completeness = np.full((count, 20), -50.0)
        completeness[np.arange(count), video.truth_labels - 1] = 0.0
        scores = SegmentScores(
            video.truth / video.frames,
            np.zeros((count, 21)),
            completeness,
            np.zeros((count, 20, 2)),
        )
        found[video.video] = detect_segments(scores, DetectionRules(top_k=count, nms_threshold=1.0))
    spans = np.concatenate([v.truth / v.frames for v in videos])
    owner = np.repeat(np.arange(len(videos)), [len(v.truth) for v in videos])
    labels = np.concatenate([v.truth_labels for v in videos]) - 1
    truth = Segments(owner, labels, spans[:, 0], spans[:, 1], np.ones(len(spans)))
    assert len(truth) == 3234
    ap = segment_ap(as_segments(found, numbers), truth, 20, THUMOS)
    np.testing.assert_allclose(ap, 1.0)


@pytest.mark.skipif(not PUBLISHED.is_file(), reason=f"no published list at {PUBLISHED}")
def test_the_published_list_becomes_concrete_for_the_videos_that_are_there():
    listed = read_proposal_list(PUBLISHED)
    frames = {video.video: 3000 for video in listed[:50]}
    made = concrete_list(listed, frames, {listed[0].video: "/frames/v_first"})
    assert len(made) == 50
    assert made[0].video == "/frames/v_first"
    first, source = made[1].proposals[0], listed[1].proposals[0]
    assert (first.start, first.end) == (int(source.start * 3000), int(source.end * 3000))


def annotations() -> SegmentAnnotations:
    return SegmentAnnotations(["a", "b"], {"v": 10.0, "w": 4.0}, {"v": [Segment(2.0, 4.0, 1)]})


def test_a_list_is_named_in_seconds_and_written_in_frames_or_fractions():
    proposals = {"v": [(2.0, 3.0), (6.0, 7.03)]}
    # 95 frames in 10 seconds: 2 s is frame 19, 7.03 s frame 66.785, truncated.
    assert annotated_list(annotations(), proposals, {"v": 95}) == [
        ListedVideo(
            "v",
            95,
            [TrueSegment(2, 19, 38)],
            [Proposal(2, 0.5, 1.0, 19, 28), Proposal(0, 0.0, 0.0, 57, 66)],
        )
    ]
    (fractions,) = annotated_list(annotations(), proposals)
    assert (fractions.frames, fractions.truth[0].start) == (1, pytest.approx(0.2))
    assert fractions.proposals[1].end == pytest.approx(0.703)
    assert annotated_list(annotations(), proposals, {}) == []


def test_windows_are_made_for_annotated_videos_only():
    assert list(window_proposals(annotations())) == ["v"]


def test_videos_are_known_by_their_names_wherever_they_lie():
    assert media_key("/somewhere/else/video_test_0000004") == "video_test_0000004"
    assert media_key("x/v_-_abcdefghi.mp4") == "v_-_abcdefghi"
    assert media_key("x/v_-_abcdefghi.mp4", youtube=True) == "-_abcdefghi"
    assert media_key("a.b") == "a.b"


def test_only_annotated_videos_are_needed_and_missing_ones_are_listed(tmp_path):
    for name in ("v_--aaaaaaaaa", "v_other", ".hidden"):
        (tmp_path / name).mkdir()
    videos = ["--aaaaaaaaa", *(f"bbbbbbbbb{i:02}" for i in range(7))]
    found = find_media(tmp_path, videos, youtube=True)
    assert found.places == {"--aaaaaaaaa": tmp_path / "v_--aaaaaaaaa"}
    note = found.note(tmp_path)
    assert note.startswith(f"7 of 8 videos are not in {tmp_path}: bbbbbbbbb00, ")
    assert note.endswith("(2 more)")
    assert find_media(tmp_path, videos[:1], youtube=True).note(tmp_path) == ""


def test_a_name_that_only_ends_alike_is_another_video(tmp_path):
    for name in ("kitchen_000", "old_kitchen_000", "v_garden_0001", "x_garden_0001"):
        (tmp_path / name).mkdir()
    found = find_media(tmp_path, ["kitchen_000"], youtube=True)
    assert found.places == {"kitchen_000": tmp_path / "kitchen_000"}
    found = find_media(tmp_path, ["garden_0001"], youtube=True)
    assert found.places == {"garden_0001": tmp_path / "v_garden_0001"}
    (tmp_path / "v_garden_0001").rename(tmp_path / "y_garden_0001")
    with pytest.raises(ValueError, match=r"video garden_0001 is there twice: \S+x_\S+ and \S+y_"):
        find_media(tmp_path, ["garden_0001"], youtube=True)


@pytest.mark.parametrize("name", ["#1 kitchen", " a", "a\nb", ""])
def test_a_name_that_a_list_cannot_hold_is_refused(name: str):
    with pytest.raises(ValueError, match="a list cannot hold a name"):
        write_proposal_list([ListedVideo(name, 1)])


def test_a_folder_without_any_of_the_videos_and_twins_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"holds none of the 1 videos: expected folders such as v"):
        find_media(tmp_path, ["v"])
    (tmp_path / "v").mkdir()
    (tmp_path / "v.mp4").touch()
    with pytest.raises(ValueError, match="video v is there twice"):
        find_media(tmp_path, ["v"])
    with pytest.raises(ValueError, match="no such folder of videos"):
        find_media(tmp_path / "x", ["v"])
