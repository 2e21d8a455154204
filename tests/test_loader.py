"""The dataset and its loader: exact frames, targets, order, resuming, processes, refusals."""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch

from data.datasets.ava import AvaClips
from data.loading.loader import build_loader
from data.loading.samplers import TestingBatches, TrainingBatches
from tests.helpers import open_split
from tests.tiny_ava import frame_of, write_dataset
from utils.config.step import Config, load_config
from utils.geometry.grid import grid_proposals
from utils.structures import ClipBatch, ClipKey

ROWS = (
    "a,0003,0.25,0.25,0.75,0.75,1,7",
    "a,0003,0.25,0.25,0.75,0.75,3,7",
    "a,0003,0.00,0.00,0.25,0.50,2,8",
    "a,0004,0.25,0.50,0.75,1.00,1,7",
    "a,0005,0.50,0.50,1.00,1.00,2,8",
    "b,0002,0.10,0.10,0.90,0.90,2,1",
    "b,0003",
)
SECONDS = {"a": range(1, 7), "b": range(1, 4)}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dataset")
    write_dataset(path, ROWS, SECONDS)
    return path


def make_config(root: Path, *overrides: str) -> Config:
    return load_config(
        None,
        (
            f"root={root}",
            "label_map=annotations/classes.pbtxt",
            "train_labels=annotations/train.csv",
            "val_labels=annotations/val.csv",
            "val_exclusions=",
            "image_size=16",
            "first_second=-1",
            "last_second=-1",
            *overrides,
        ),
    )


def seen_frames(images: torch.Tensor) -> list[tuple[int, int]]:
    """(second, index) of each frame of `[F, 3, H, W]`."""
    return [frame_of(color) for color in images.float().mean(dim=(2, 3)).numpy()]


def test_a_sample_has_the_exact_frames_and_targets_of_its_key_frame(root: Path) -> None:
    dataset = open_split(make_config(root), "val")
    sample = dataset[dataset.keys.index(ClipKey("a", 3))]
    # 3 steps, "temporal": 3 chunks x T=3 x 4 frames = 36, 18 before second 3.
    expected = [(s, i) for s in range(1, 5) for i in range(12)][6:42]
    assert sample.images.shape == (36, 3, 16, 16)
    assert seen_frames(sample.images) == expected
    assert expected[18] == (3, 0)
    torch.testing.assert_close(sample.targets.boxes, torch.tensor([[4.0, 4, 12, 12], [0, 0, 4, 8]]))
    assert sample.targets.labels.tolist() == [[1, 0, 1], [0, 1, 0]]
    # Person 7 is annotated at second 4, person 8 at neither 2 nor 4.
    assert sample.targets.neighbor_valid.tolist() == [[[False, True]], [[False, False]]]
    assert sample.targets.neighbors[0, 0, 1].tolist() == [4, 8, 12, 16]
    torch.testing.assert_close(sample.proposals, grid_proposals(34) * 16)


def test_training_takes_annotated_seconds_and_testing_all(root: Path) -> None:
    training = open_split(make_config(root), "train").keys
    assert training == [ClipKey("a", 3), ClipKey("a", 4), ClipKey("a", 5), ClipKey("b", 2)]
    testing = open_split(make_config(root), "val").keys
    assert testing == [ClipKey(v, s) for v, seconds in SECONDS.items() for s in seconds]
    some = open_split(make_config(root, "first_second=2", "last_second=3"), "val").keys
    assert some == [ClipKey(v, s) for v in "ab" for s in (2, 3)]


def test_excluded_seconds_are_not_trained_on(root: Path) -> None:
    (root / "annotations" / "excluded.csv").write_text("a,0004\nb,0002\n")
    config = make_config(root, "train_exclusions=annotations/excluded.csv")
    assert open_split(config, "train").keys == [ClipKey("a", 3), ClipKey("a", 5)]


def test_a_second_without_annotation_has_empty_targets(root: Path) -> None:
    dataset = open_split(make_config(root), "val")
    targets = dataset[dataset.keys.index(ClipKey("a", 1))].targets
    assert targets.boxes.shape == (0, 4)
    assert targets.labels.shape == (0, 3)
    assert targets.neighbors.shape == (0, 1, 2, 4)
    assert targets.neighbor_valid.shape == (0, 1, 2)


def test_the_window_and_the_reach_follow_the_model(root: Path) -> None:
    cls = open_split(
        make_config(root, "task=cls", "steps=1", "local_branch=false", "clip_steps=9"), "val"
    )
    assert (cls.window, cls.reach, cls.clip_seconds) == (36, 0, 3.0)
    five = open_split(make_config(root, "schedule=temporal2", "steps=4",
                                     "thresholds=[0.2,0.3,0.4,0.5]"), "val")  # fmt: skip
    assert (five.window, five.reach, five.clip_seconds) == (60, 2, 1.0)


def test_what_is_random_depends_on_seed_epoch_and_index_alone(root: Path) -> None:
    dataset = open_split(make_config(root), "train")
    first = dataset[1, 0]
    dataset[5, 2]
    again = dataset[1, 0]
    dataset.set_epoch(1)
    by_epoch = dataset[0]
    assert torch.equal(first.images, again.images)
    assert torch.equal(first.images, by_epoch.images)
    assert first.seed == again.seed == by_epoch.seed
    seeds = {dataset[epoch, index].seed for epoch in range(3) for index in range(4)}
    assert len(seeds) == 12
    assert open_split(make_config(root, "seed=1"), "train")[1, 0].seed not in seeds


def test_training_is_augmented_and_testing_is_not(root: Path) -> None:
    plain = open_split(make_config(root), "val")
    same = [plain[epoch, 2].images for epoch in range(4)]
    assert all(torch.equal(same[0], images) for images in same)
    drawn = open_split(make_config(root), "train")
    different = [drawn[epoch, 0].images for epoch in range(4)]
    assert not all(torch.equal(different[0], images) for images in different)


def test_boxes_of_a_proposal_file_follow_the_augmentation(root: Path) -> None:
    """Proposals equal to the annotated boxes stay equal to the targets, whatever is drawn."""
    lines = [row.rsplit(",", 2)[0] + ",0.9" for row in (ROWS[0], ROWS[2])]
    (root / "proposals.csv").write_text("\n".join([*lines, "b,0002,0,0,0.5,0.5,0.1"]))
    config = make_config(root, "proposals=proposals.csv")
    dataset = open_split(config, "train")
    for epoch in range(20):
        sample = dataset[epoch, 0]
        torch.testing.assert_close(sample.proposals, sample.targets.boxes)
    # The only box of b,2 scores too little: the whole image stands in.
    assert dataset[0, 3].proposals.tolist() == [[0, 0, 16, 16]]


def test_a_neighbour_that_is_cropped_away_does_not_count(tmp_path: Path) -> None:
    """The person is in one corner, a second later in the opposite one: crops lose the latter."""
    rows = ("a,2,0,0,0.3,0.3,1,7", "a,3,0.7,0.7,1,1,1,7")
    write_dataset(tmp_path, rows, {"a": range(1, 5)})
    off = ("color=false", "flip=false", "erase=false")
    dataset = open_split(make_config(tmp_path, *off), "train")
    seen = set()
    for epoch in range(40):
        targets = dataset[epoch, 0].targets
        (valid,), (box,) = targets.neighbor_valid[:, 0, 1], targets.neighbors[:, 0, 1]
        assert bool((box[2:] > box[:2]).all()) == bool(valid)
        seen.add(bool(valid))
    assert seen == {True, False}


def indices(batches: TrainingBatches | TestingBatches) -> list[list[int]]:
    return [[index for _, index in batch] for batch in batches]


def joined(lists: Iterable[list[int]]) -> list[int]:
    return list(chain.from_iterable(lists))


def test_training_order_is_a_permutation_per_epoch() -> None:
    batches = TrainingBatches(length=24, batch_size=8, seed=3)
    first, again = indices(batches), indices(batches)
    batches.epoch = 1
    second = indices(batches)
    assert first == again != second
    assert sorted(joined(first)) == sorted(joined(second)) == list(range(24))


def test_processes_share_each_batch_in_order() -> None:
    whole = indices(TrainingBatches(21, 8, seed=0))
    parts = [indices(TrainingBatches(21, 8, 0, rank, 4)) for rank in range(4)]
    assert len(whole) == 2  # 21 // 8: the last 5 are left out
    assert [joined(shares) for shares in zip(*parts, strict=True)] == whole
    assert all(len(share) == 2 for part in parts for share in part)


def test_an_epoch_resumed_in_the_middle_goes_on_where_it_stopped() -> None:
    batches = TrainingBatches(40, 8, seed=0)
    whole = indices(batches)
    batches.start_iteration = 3
    assert indices(batches) == whole[3:]
    assert len(batches) == 5


def test_a_dataset_smaller_than_a_batch_is_one_batch() -> None:
    assert [len(batch) for batch in TrainingBatches(5, 8, seed=0)] == [5]


def test_processes_that_cannot_share_a_batch_are_refused() -> None:
    with pytest.raises(ValueError, match="multiple of the 3 processes, got 8"):
        TrainingBatches(100, 8, seed=0, world_size=3)
    with pytest.raises(ValueError, match="4 processes, but only 3 clips"):
        TrainingBatches(3, 8, seed=0, world_size=4)


@pytest.mark.parametrize(("length", "world_size"), [(10, 1), (10, 3), (2, 4), (7, 7)])
def test_testing_visits_every_image_once_over_all_processes(length: int, world_size: int) -> None:
    parts = [TestingBatches(length, 2, rank, world_size) for rank in range(world_size)]
    assert joined(joined(indices(part)) for part in parts) == list(range(length))
    assert all(len(list(part)) == len(part) for part in parts)


def collect(loader: object) -> list[ClipBatch]:
    return list(loader)  # type: ignore[call-overload]


@pytest.mark.parametrize(("context", "workers"), [("fork", 2), ("spawn", 1)])
def test_workers_give_what_one_process_gives_in_every_epoch(
    root: Path, context: str, workers: int
) -> None:
    """Workers outlive an epoch; the new epoch must reach them."""
    dataset = open_split(make_config(root), "train")
    alone = build_loader(dataset, 2, workers=0, train=True)
    helped = build_loader(dataset, 2, workers, train=True, context=context)
    for epoch in (0, 1):
        alone.set_epoch(epoch)
        helped.set_epoch(epoch)
        for a, b in zip(alone, helped, strict=True):
            assert a.keys == b.keys
            assert a.seeds == b.seeds
            assert torch.equal(a.images, b.images)


class Squares:
    """A dataset of numbers: nothing but what `ClipDataset` asks for."""

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: tuple[int, int]) -> int:
        epoch, number = index
        if number == 4 and epoch == 1:
            time.sleep(30)
        return number * number + 100 * epoch

    def describe(self, index: int) -> str:
        return f"the square of {index}"

    def collate(self, samples: list[int]) -> list[int]:
        return samples


@pytest.mark.parametrize("workers", [0, 1])
def test_any_dataset_is_loaded_by_index_collated_and_named_by_itself(workers: int) -> None:
    loader = build_loader(Squares(), 4, workers, context="fork" if workers else None, timeout=1)
    assert list(loader) == [[0, 1, 4, 9], [16, 25]]
    loader.set_epoch(1)
    batches = iter(loader)
    assert next(batches) == [100, 101, 104, 109]
    with pytest.raises(TimeoutError, match=r"being loaded: the square of 4 \(epoch 1\)"):
        next(batches)


def test_a_loader_resumes_in_mid_epoch(root: Path) -> None:
    dataset = open_split(make_config(root), "train")
    loader = build_loader(dataset, 2, workers=0, train=True)
    loader.set_epoch(4)
    whole = [batch.seeds for batch in loader]
    loader.set_epoch(4, start_iteration=1)
    assert [batch.seeds for batch in loader] == whole[1:]
    assert len(loader) == len(whole) == 2


def test_an_error_names_the_sample(tmp_path: Path) -> None:
    """A worker's too: torch repeats the message (and then waits 5 s, hence no worker here)."""
    write_dataset(tmp_path, ["a,0002,0,0,1,1,1"], {"a": range(1, 4)})
    broken = tmp_path / "frames" / "a" / "00002" / "0003.jpg"
    broken.write_bytes(broken.read_bytes()[:100])
    loader = build_loader(open_split(make_config(tmp_path), "val"), 1, workers=0)
    with pytest.raises(ValueError, match=r"video a, second 1: .*00002/0003\.jpg: not a readable"):
        collect(loader)


def test_missing_folders_are_reported_before_anything_is_loaded(tmp_path: Path) -> None:
    write_dataset(tmp_path, ["a,0001,0,0,1,1,1", "a,0005,0,0,1,1,1"], {"a": [1, 2, 5, 6]})
    with pytest.raises(ValueError, match=r"a/00003: no such folder of frames \(2 missing"):
        open_split(make_config(tmp_path), "val")


def test_a_missing_video_is_named(tmp_path: Path) -> None:
    write_dataset(tmp_path, ["a,0001,0,0,1,1,1", "c,0001,0,0,1,1,1"], {"a": [1, 2]})
    with pytest.raises(ValueError, match=r"frames/c: no such folder of frames"):
        open_split(make_config(tmp_path), "train")


def test_another_number_of_classes_than_the_label_map_s_is_refused(root: Path) -> None:
    with pytest.raises(ValueError, match=r"num_classes is 60, but .*classes\.pbtxt lists 3"):
        open_split(make_config(root, "num_classes=60"), "train")
    assert list(open_split(make_config(root, "num_classes=3"), "train").classes) == [1, 2, 3]


def test_no_key_frames_is_an_error(root: Path) -> None:
    (root / "annotations" / "all.csv").write_text("a,3\na,4\na,5\nb,2\n")
    with pytest.raises(ValueError, match="no key frames"):
        open_split(make_config(root, "train_exclusions=annotations/all.csv"), "train")


def test_a_dataset_can_be_sent_to_another_process(root: Path) -> None:
    dataset: AvaClips = pickle.loads(pickle.dumps(open_split(make_config(root), "val")))
    assert np.array_equal(dataset[0].images, open_split(make_config(root), "val")[0].images)
