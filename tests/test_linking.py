"""Linking tubelets into tubes: the recorded reference, plain loops, worked cases."""

import json

import numpy as np
import pytest

from external.act_evaluation import Tubelets, suppress_tubes
from external.act_evaluation.geometry import tubelet_overlaps
from tests.helpers import SHARED
from utils.geometry.linking import LinkedTubes, LinkRules, link_tubelets

FOLDER = SHARED / "reference" / "tubes_and_ssn"
K = 6


def tubelets(rows: list[tuple[int, int, int, float, np.ndarray]]) -> Tubelets:
    """Of (video, start, label, score, boxes [K, 4])."""
    return Tubelets(
        np.array([r[0] for r in rows], np.int64),
        np.array([r[1] for r in rows], np.int64),
        np.array([r[2] for r in rows], np.int64),
        np.array([r[3] for r in rows], float),
        np.array([r[4] for r in rows], float).reshape(-1, K, 4),
    )


def still(x: float, size: float = 40) -> np.ndarray:
    return np.tile([x, 20.0, x + size, 20.0 + size], (K, 1))


def linked_alone(found: Tubelets, clips: int, rules: LinkRules, stride: int) -> list[dict]:
    """Link one video and class by plain loops, tube by tube (the oracle)."""
    live: list[list[int]] = []
    done: list[list[int]] = []
    for start in range(1, clips + 1, stride):
        order = [i for i in np.argsort(-found.score, kind="stable") if found.start[i] == start]
        free: list[int] = []
        for i in order:
            if len(free) < rules.candidates and all(
                tubelet_overlaps(found.boxes[i], found.boxes[j]) <= rules.nms_threshold
                for j in free
            ):
                free.append(i)
        live.sort(key=lambda tube: -np.mean([found.score[i] for i in tube]))
        ended = []
        for place, tube in enumerate(live):
            late = start - int(found.start[tube[-1]])
            before, near = found.boxes[tube[-1]], []
            for i in free:
                after = found.boxes[i]
                if late < K:
                    overlap = tubelet_overlaps(before[late:], after[: K - late])
                else:
                    overlap = tubelet_overlaps(before[-1:], after[:1]) if late == K else -1
                if overlap >= rules.least_overlap:
                    near.append(i)
            if near:
                tube.append(near[0])
                free.remove(near[0])
            elif late >= rules.patience:
                ended.append(place)
        for place in reversed(ended):
            done.append(live.pop(place))
        live += [[i] for i in free]
    return [made for tube in done + live if (made := averaged(found, tube, rules))]


def averaged(found: Tubelets, tube: list[int], rules: LinkRules) -> dict | None:
    first, last = found.start[tube[0]], found.start[tube[-1]] + K - 1
    score = np.mean([found.score[i] for i in tube])
    if score < rules.least_score or last - first + 1 < rules.least_length:
        return None
    rows = []
    for frame in range(first, last + 1):
        cover = [i for i in tube if 0 <= frame - found.start[i] < K]
        box = np.mean([found.boxes[i, frame - found.start[i]] for i in cover], axis=0)
        rows.append([frame, *box, np.mean([found.score[i] for i in cover])])
    return {"score": score, "rows": np.array(rows)}


def check_same(linked: LinkedTubes, video: int, label: int, expected: list[dict], atol: float):
    tubes, scores, _ = linked
    own = np.flatnonzero((tubes.video == video) & (tubes.label == label))
    assert len(own) == len(expected)
    for tube, reference in zip(own, expected, strict=True):
        rows = slice(tubes.ends[tube], tubes.ends[tube + 1])
        assert tubes.score[tube] == pytest.approx(reference["score"], abs=atol)
        found = np.column_stack([tubes.row_frame()[rows], tubes.boxes[rows], scores[rows]])
        np.testing.assert_allclose(found, np.array(reference["rows"]), atol=atol * 10)


@pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no recorded outputs at {FOLDER}")
def test_linking_is_the_recorded_one():
    data = json.loads((FOLDER / "act_dataset.json").read_text())
    lists = json.loads((FOLDER / "act_tubelets.json").read_text())["tubelets"]
    rows = [
        (number, int(start), label, row[4 * K + 1 + label], np.array(row[: 4 * K]))
        for number, video in enumerate(data["test_videos"])
        for start, both in lists[video].items()
        for row in both["dets_all"]
        for label in range(2)
    ]
    clips = np.array([data["nframes"][video] - K + 1 for video in data["test_videos"]])
    linked = link_tubelets(tubelets(rows), clips)
    expected = json.loads((FOLDER / "act_linking.json").read_text())["tubes"]
    for number, video in enumerate(data["test_videos"]):
        for label in range(2):
            check_same(linked, number, label, expected[video][str(label)], 1e-4)
    assert len(suppress_tubes(linked.tubes)) > 10


def made_scene(rng: np.random.Generator, video: int, label: int, clips: int, stride: int) -> list:
    """Tubelets of a few walkers, some of them missing for a while, and of clutter; ties too."""
    rows = []
    walkers = rng.uniform(0, 200, 4)
    for start in range(1, clips + 1, stride):
        for x in walkers + rng.normal(0, 3, 4) + start:
            if rng.random() < 0.7:
                score = round(float(rng.uniform(0.005, 1)), 1)
                rows.append((video, start, label, score, still(x) + rng.normal(0, 2, (K, 4))))
        for _ in range(rng.integers(0, 10)):
            rows.append((video, start, label, float(rng.random()) / 50, still(rng.uniform(0, 300))))
    return rows


@pytest.mark.parametrize("stride", [1, 3, 4, 6])
@pytest.mark.parametrize("seed", range(4))
def test_linking_is_that_of_plain_loops(stride: int, seed: int):
    rng = np.random.default_rng(seed)
    clips = np.array([40, 0, 23])
    rows = [
        row
        for video, count in enumerate(clips)
        for label in range(2)
        for row in made_scene(rng, video, label, int(count), stride)
    ]
    found = tubelets(rows)
    rules = LinkRules(candidates=5, least_length=8)
    linked = link_tubelets(found, clips, rules, stride)
    assert len(linked.tubes) > 8
    for video, count in enumerate(clips):
        for label in range(2):
            own = (found.video == video) & (found.label == label)
            alone = Tubelets(*(getattr(found, name)[own] for name in found.__dataclass_fields__))
            check_same(linked, video, label, linked_alone(alone, int(count), rules, stride), 1e-9)


def test_a_tube_survives_four_missed_clips_and_not_five():
    def tubes_when_missing(gap: set[int]) -> list[int]:
        rows = [(0, f, 0, 0.9, still(10)) for f in range(1, 31) if f not in gap]
        return link_tubelets(tubelets(rows), np.array([30])).tubes.lengths.tolist()

    assert tubes_when_missing({11, 12, 13, 14}) == [35]
    # The last tubelet before the gap begins at 10: at 15 it has waited for 5 frames, and ends.
    assert tubes_when_missing({11, 12, 13, 14, 15}) == [15, 20]


def test_a_video_of_six_frames_gives_no_tube():
    assert len(link_tubelets(tubelets([(0, 1, 0, 0.9, still(10))]), np.array([1])).tubes) == 0


def test_a_stride_that_leaves_holes_is_refused():
    with pytest.raises(ValueError, match="stride: expected 1 to 6 frames, got 7"):
        link_tubelets(tubelets([]), np.array([5]), stride=7)


def test_no_tubelets_give_no_tubes():
    assert len(link_tubelets(tubelets([]), np.array([5, 0])).tubes) == 0
