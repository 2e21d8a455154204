"""Lists of tubelets and what is kept of a video: against plain loops and worked cases."""

import numpy as np
import pytest

from external.act_evaluation import FrameBoxes, make_tubes
from external.act_evaluation.geometry import tubelet_overlaps
from utils.evaluation.tube_evaluator import TubeEvaluator, ground_truth_tubelets
from utils.evaluation.tube_results import TubeRules, VideoResults
from utils.evaluation.tubelet_lists import (
    ClipTubelets,
    ListRules,
    best_class_list,
    join_clips,
    linking_list,
    standard_list,
)
from utils.geometry.linking import LinkRules, best_of_clips
from utils.geometry.trimming import TrimRules

K = 6


def random_clips(
    clips: int = 5, tubelets: int = 7, classes: int = 3, seed: int = 0, first: int = 1
) -> ClipTubelets:
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 60, (clips, tubelets, 1, classes, 2))
    sides = rng.uniform(20, 40, (clips, tubelets, 1, classes, 2))
    boxes = np.concatenate([corners, corners + sides], axis=-1)
    moved = boxes + rng.uniform(-2, 2, (clips, tubelets, K, classes, 4))
    scores = rng.uniform(0, 0.5, (clips, tubelets, classes))
    return ClipTubelets(np.arange(first, first + clips), scores, moved)


def standard_by_loops(clips: ClipTubelets, rules: ListRules) -> list[tuple[int, int, float]]:
    found = []
    for clip, start in enumerate(clips.starts):
        kept = []
        for label in range(clips.scores.shape[2]):
            scores = clips.scores[clip, :, label]
            order = [i for i in np.argsort(-scores) if scores[i] > rules.score_threshold]
            boxes: list[np.ndarray] = []
            for i in order[: rules.candidates]:
                own = clips.boxes[clip, i, :, label]
                if all(tubelet_overlaps(own, b, 0.0) <= rules.nms_threshold for b in boxes):
                    boxes.append(own)
                    kept.append((int(start), label, float(scores[i])))
        found += sorted(kept, key=lambda row: -row[2])[: rules.most]
    return found


def test_a_tubelet_that_is_none_of_a_class_is_on_no_list_of_it() -> None:
    """Such tubelets come of fusion; the scores of their other classes stay, and theirs is 0."""
    clips = random_clips()
    clips.scores[:, 2, 1] = -1
    found, vectors = linking_list(clips, LinkRules())
    rest = [0, 1, 3, 4, 5, 6]
    without = ClipTubelets(clips.starts, clips.scores[:, rest], clips.boxes[:, rest])
    expected, _ = linking_list(without, LinkRules())
    own, theirs = found.label == 1, expected.label == 1
    assert found.score[own].tolist() == expected.score[theirs].tolist()
    assert (found.label != 1).sum() == (
        linking_list(random_clips(), LinkRules())[0].label != 1
    ).sum()
    assert found.score.min() >= 0
    assert vectors.min() == 0
    assert standard_list(clips, ListRules(0.0)).score.min() > 0
    _, scores = best_class_list(clips)
    assert scores.min() == 0


@pytest.mark.parametrize(
    "rules",
    [ListRules(), ListRules(0.2, 3, 0.2, 4), ListRules(0.0, 400, 0.9, 200), ListRules(0.6)],
)
def test_the_standard_list_is_that_of_plain_loops(rules: ListRules) -> None:
    clips = random_clips()
    found = standard_list(clips, rules)
    rows = list(zip(found.start.tolist(), found.label.tolist(), found.score.tolist(), strict=True))
    assert rows == standard_by_loops(clips, rules)


def test_a_class_has_its_own_boxes() -> None:
    clips = random_clips()
    found = standard_list(clips, ListRules())
    for i in range(len(found)):
        clip = found.start[i] - 1
        tubelet = np.argmax(clips.scores[clip, :, found.label[i]] == found.score[i])
        expected = clips.boxes[clip, tubelet, :, found.label[i]]
        np.testing.assert_array_equal(found.boxes[i], expected)


def test_equality_with_the_threshold_is_not_listed() -> None:
    clips = random_clips(1, 1, 1)
    score = float(clips.scores[0, 0, 0])
    assert len(standard_list(clips, ListRules(score))) == 0
    assert len(standard_list(clips, ListRules(np.nextafter(score, 0)))) == 1


def test_lists_of_parts_are_those_of_the_whole() -> None:
    """Clips are reduced a few at a time, and linking then chooses among the chosen."""
    parts = [random_clips(3, seed=1), random_clips(4, seed=2, first=4)]
    whole, rules = join_clips(parts), LinkRules(candidates=3)
    lists = [linking_list(part, rules) for part in parts]
    every, vectors = linking_list(whole, rules)
    scores = np.concatenate([tubelets.score for tubelets, _ in lists])
    np.testing.assert_array_equal(every.score[np.argsort(every.start, kind="stable")], scores)
    np.testing.assert_array_equal(best_of_clips(every, rules), np.arange(len(every)))
    own = vectors[np.arange(len(every)), every.label]
    np.testing.assert_array_equal(own, every.score)


def test_a_tubelet_counts_once_with_the_boxes_of_its_best_class() -> None:
    clips = random_clips(2, 3)
    found, scores = best_class_list(clips)
    assert len(found) == 6
    np.testing.assert_array_equal(found.label, scores.argmax(axis=1))
    np.testing.assert_array_equal(found.score, scores.max(axis=1))


def perfect_clips(boxes: np.ndarray, label: int, classes: int, score: float) -> ClipTubelets:
    """All clips of a video of which every frame has one box, `[N, 4]`, found with one tubelet."""
    count = len(boxes) - K + 1
    windows = np.stack([boxes[f : f + K] for f in range(count)])  # [B, K, 4]
    tiled = np.tile(windows[:, None, :, None], (1, 1, 1, classes, 1))
    scores = np.full((count, 1, classes), 0.02)
    scores[..., label] = score
    return ClipTubelets(np.arange(1, count + 1), scores, tiled)


def moving(frames: int) -> np.ndarray:
    return np.stack([[f, 10, f + 40, 60] for f in range(frames)]).astype(float)


def evaluator(rules: TubeRules, frames: tuple[int, ...] = (30, 4), steps: int = 2) -> TubeEvaluator:
    other = [(1, 0, 1.0, 1, moving(20))] if frames[1] > 20 else []
    truth = make_tubes([(0, 1, 1.0, 1, moving(frames[0])), *other])
    return TubeEvaluator(["a", "b"], ["v", "w"], np.array(frames), truth, K, steps, rules)


def judged(rules: TubeRules, score: float = 0.9) -> tuple[TubeEvaluator, dict]:
    judge = evaluator(rules)
    clips = perfect_clips(moving(30), 1, 2, score)
    results = judge.collector(0)
    for start in range(0, len(clips), 7):
        rows = slice(start, start + 7)
        part = ClipTubelets(clips.starts[rows], clips.scores[rows], clips.boxes[rows])
        results.add([part, part])
    judge.add(0, results)
    judge.add(1, judge.collector(1))
    judge.merge()
    return judge, judge.evaluate()


@pytest.mark.parametrize("protocol", ["act", "road", "yowo"])
def test_perfect_tubelets_are_perfect_in_every_figure(protocol: str) -> None:
    from external.act_evaluation import PROTOCOLS

    _, metrics = judged(TubeRules(protocol=PROTOCOLS[protocol]))
    assert metrics["protocol"] == protocol
    for step in metrics["steps"]:
        assert step["mAP"] == pytest.approx(1)
        assert step["mabo"] == pytest.approx(1)
        assert step["accuracy"] == 1
    for figures in (*metrics["video"].values(), metrics["ceiling"]):
        assert set(figures.values()) == {1.0}
    assert metrics["tubes"]["trimmed"] == 1


def test_the_ceiling_has_the_clips_of_the_test() -> None:
    """A tube of frames 2 to 31 at stride 6: clips from 7, 13, 19 and 25, so 24 of its 30 frames."""
    truth = make_tubes([(0, 0, 1.0, 2, moving(30))])
    for stride, iou in ((1, 1.0), (6, 24 / 30)):
        rules = TubeRules(stride=stride, trim=None)
        judge = TubeEvaluator(["a"], ["v"], np.array([31]), truth, K, 1, rules)
        judge.add(0, judge.collector(0))
        judge.merge()
        ceiling = judge.evaluate()["ceiling"]
        assert ceiling["0.75"] == 1
        at_each = np.arange(0.5, 1, 0.05)
        assert ceiling["0.5:0.95"] == pytest.approx((at_each <= iou + 1e-9).mean())


def test_a_video_shorter_than_a_clip_has_no_tubes_and_its_boxes_are_missed() -> None:
    truth = make_tubes([(0, 1, 1.0, 1, moving(30)), (1, 1, 1.0, 1, moving(4))])
    judge = TubeEvaluator(["a", "b"], ["v", "w"], np.array([30, 4]), truth, K, 2, TubeRules())
    for video in (0, 1):
        results = judge.collector(video)
        if video == 0:
            clips = perfect_clips(moving(30), 1, 2, 0.9)
            results.add([clips, clips])
        judge.add(video, results)
    metrics = judge.evaluate()
    assert metrics["steps"][1]["mabo"] == pytest.approx(30 / 34, abs=1e-3)
    assert metrics["steps"][1]["accuracy"] == pytest.approx(30 / 34)
    assert metrics["video"]["linked"]["0.5"] == pytest.approx(0.5)


def test_without_trimming_no_trimmed_tubes_are_judged() -> None:
    _, metrics = judged(TubeRules(trim=None))
    assert list(metrics["video"]) == ["linked"]


def test_trimming_among_all_classes_needs_no_more_than_the_rules_say() -> None:
    _, metrics = judged(TubeRules(trim=TrimRules(all_labels=True)), score=0.3)
    assert metrics["video"]["trimmed"]["0.5"] == 1  # 0.3 is the best action's
    _, metrics = judged(TubeRules(trim=TrimRules()), score=0.3)
    assert metrics["video"]["trimmed"]["0.5"] == 0  # the background's 0.7 is better
    assert metrics["video"]["linked"]["0.5"] == 1


def test_the_files_give_the_same_figures(tmp_path) -> None:
    from data.datasets.tube_annotations import TubeAnnotations
    from data.datasets.tube_csv import write_tube_csv
    from external.act_evaluation.inputs import Files
    from external.act_evaluation.result import evaluate

    judge = evaluator(TubeRules(), (30, 30), 1)
    for video in (0, 1):
        results = judge.collector(video)
        clips = random_clips(25, 9, 2, seed=video)
        near = perfect_clips(moving(30), 1, 2, 0.4)
        joined = np.concatenate([clips.boxes, near.boxes], axis=1)
        scores = np.concatenate([clips.scores, near.scores], axis=1)
        results.add([ClipTubelets(clips.starts, scores, joined)])
        judge.add(video, results)
    metrics = judge.evaluate()
    judge.write_detections(tmp_path)
    notes = TubeAnnotations(
        ["a", "b"], ["v", "w"], np.array([30, 30]), np.full((2, 2), 99), judge.truth
    )
    write_tube_csv(notes, tmp_path / "truth.csv")
    names = ("truth.csv", "frames_step1.csv", "tubes.csv")
    found = evaluate(Files(*(tmp_path / name for name in names)))
    assert found.frame["a"] == pytest.approx(metrics["steps"][0]["per_class"]["a"], abs=1e-12)
    assert found.frame["b"] == pytest.approx(metrics["steps"][0]["per_class"]["b"], abs=1e-12)
    assert found.video == pytest.approx(metrics["video"]["trimmed"], abs=1e-12)
    assert 0 < found.frame["b"] < 1


@pytest.mark.parametrize("all_labels", [False, True])
def test_videos_that_are_linked_together_are_as_each_alone(all_labels: bool) -> None:
    rules = TubeRules(trim=TrimRules(alpha=0.1, all_labels=all_labels))
    together = evaluator(rules, (30, 24), 1)
    alone = evaluator(rules, (30, 24), 1)
    for video, frames in enumerate((30, 24)):
        for judge in (together, alone):
            results = judge.collector(video)
            near = perfect_clips(moving(frames), 1 - video, 2, 0.8)
            random = random_clips(frames - 5, 9, 2, seed=video)
            boxes = np.concatenate([random.boxes, near.boxes], axis=1)
            scores = np.concatenate([random.scores, near.scores], axis=1)
            results.add([ClipTubelets(random.starts, scores, boxes)])
            judge.add(video, results)
            if judge is alone:
                judge.finish()
    assert len(together) == 0, "both wait"
    together.finish()
    for video in (0, 1):
        for name in ("linked", "trimmed"):
            one, other = (getattr(j.results[video], name) for j in (together, alone))
            assert len(one.tubes) > 0
            assert one.tubes.video.tolist() == [0] * len(one.tubes)
            for field in ("label", "score", "start", "ends", "boxes"):
                np.testing.assert_array_equal(
                    getattr(one.tubes, field), getattr(other.tubes, field), field
                )
            np.testing.assert_array_equal(one.row_scores, other.row_scores)


def test_only_so_many_videos_wait_to_be_linked(monkeypatch: pytest.MonkeyPatch) -> None:
    from utils.evaluation import tube_evaluator

    for videos, clips, left in ((2, 999, 0), (3, 999, 2), (3, 20, 1)):
        monkeypatch.setattr(tube_evaluator, "LINKED_VIDEOS", videos)
        monkeypatch.setattr(tube_evaluator, "LINKED_CLIPS", clips)
        judge = evaluator(TubeRules(), (30, 24), 1)
        for video in (0, 1):
            judge.add(video, judge.collector(video))
        assert len(judge) == 2 - left


def test_ground_truth_pieces_cover_their_tubes() -> None:
    truth = make_tubes([(0, 1, 1.0, 3, moving(8)), (0, 0, 1.0, 1, moving(4))])
    pieces = ground_truth_tubelets(truth, K)
    assert pieces.start.tolist() == [3, 4, 5]
    np.testing.assert_array_equal(pieces.boxes[1], moving(8)[1:7])


def test_what_waits_is_reduced_in_blocks() -> None:
    """However long a video is, few clips wait to be reduced."""
    nothing = np.zeros(0, np.int64)
    truth = FrameBoxes(nothing, nothing, nothing, np.zeros(0), np.zeros((0, 4)))
    results = VideoResults(truth, 400, K, 1, 3, TubeRules())
    for start in range(1, 395, 3):
        results.add([random_clips(3, seed=start, first=start)])
        assert sum(len(part[0]) for part in results._waiting) < 64


@pytest.mark.parametrize("processes", [1, 3])
def test_processes_share_the_videos_evenly(monkeypatch: pytest.MonkeyPatch, processes: int) -> None:
    from recipes import tube_testing

    counts = np.random.default_rng(0).integers(30, 900, 50)
    monkeypatch.setattr(tube_testing, "world_size", lambda: processes)
    shares = []
    for number in range(processes):
        monkeypatch.setattr(tube_testing, "rank", lambda number=number: number)
        shares.append(tube_testing.shared_videos(counts))
    assert sorted(video for share in shares for video in share) == list(range(50))
    loads = [counts[share].sum() for share in shares]
    assert max(loads) - min(loads) <= counts.max()
