"""What can go wrong in a week of training: losses, frames, loader processes."""

import os
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch

from data.datasets.ava import AvaClips
from data.loading.loader import SampleLoader, build_loader
from data.loading.workers import deaths_explained
from models import build_detector
from tests.entries import Script
from tests.helpers import (
    install_apex,
    open_split,
    random_boxes,
    random_targets,
    tiny_detector,
    tiny_model,
)
from tests.runs import arguments, start
from utils.config.step import Config, load_config
from utils.engine.faults import read_fault, write_fault
from utils.engine.statistics import SavedStatistics, moving_statistics
from utils.formats.clip_batches import read_clip_batch
from utils.structures import ClipBatch, ClipKey

SCRIPT = "train"

# ------------------------------------------------------------------------------ losses

# Rates of this size make the weights grow beyond measure within an iteration or two.
WILD = ["det_lr=1e30", "det_lr0=1e30", "base_lr=1e30", "init=", "warmup_iterations=0"]


def test_a_loss_that_is_not_finite_can_be_repeated(script: Script, data: Path, tmp_path: Path):
    line = script.refuses(*arguments("step", data, tmp_path, "epochs=9", *WILD))
    assert "the loss is not finite: " in line
    assert "clips: toy_train_000 second 90" in line
    path = tmp_path / "toy_step" / line.split("--replay ")[1].split("/")[-1]
    again = script("--replay", path, "--device", "cpu")
    assert again.code == 0, again.err
    said = line.split("not finite: ")[1].split(". To repeat it")[0]
    assert said.split("; clips")[0] in again.out


def test_a_repetition_computes_as_the_run_did(
    script: Script, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    calls = install_apex(monkeypatch)
    options = [*WILD, "deterministic=true", "precision=fp16", "amp_backend=apex"]
    try:
        script.refuses(*arguments("step", data, tmp_path, "validate_every=0", *options))
        torch.use_deterministic_algorithms(False)
        calls.clear()
        path = next((tmp_path / "toy_step").glob("nonfinite_*.pt"))
        again = script("--replay", path, "--device", "cpu")
        assert again.code == 0, again.err
        assert calls == ["O1"]
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("more", [["batch_size=1"], ["--fp16"], ["--config", "x.yaml"]])
def test_a_repetition_takes_no_other_settings(script: Script, tmp_path: Path, more: list[str]):
    line = script.refuses("--replay", tmp_path / "nonfinite.pt", *more)
    assert "--replay computes as the run did: expected no --config, --fp16, key=value" in line


def test_the_file_holds_what_the_iteration_began_with(script: Script, data: Path, tmp_path: Path):
    """With finite inputs: the statistics of batch norm are those from before the forward pass."""
    script(*arguments("step", data, tmp_path, "epochs=9", *WILD))
    path = next((tmp_path / "toy_step").glob("nonfinite_*.pt"))
    parts, content = read_fault(path)
    batch = read_clip_batch(parts, "batch")
    assert batch.images.dtype == torch.uint8
    assert len(batch) == len(batch.seeds) == 2
    counted = content["model"]["backbone.conv1.batch3d.num_batches_tracked"]
    assert counted.item() == content["iteration"]


@pytest.fixture(scope="module")
def fault(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as a loss that is not finite leaves it, of one clip."""
    model = tiny_model()
    detector, config = build_detector(model), Config(model=model)
    images = torch.zeros(1, detector.window_frames, 3, 32, 32, dtype=torch.uint8)
    key = ClipKey("a", 902)
    batch = ClipBatch(images, [random_boxes(3)], [random_targets(2)], [key], [7])
    rest = {"config": config.to_dict(), "classes": {}, "iteration": 3, "process": 0}
    path = tmp_path_factory.mktemp("fault") / "nonfinite.pt"
    write_fault(path, batch, {**rest, "model": detector.state_dict()})
    return path


BROKEN_PARTS = {
    "batch": [None, 3, [], {}],
    "iteration": [None, "3", -1, 2**70],
    "process": [None, 1.5],
    "config": [None, 3, {"model": 3}, {"model": {"steps": 9}}],
    "model": [None, [], {"x": torch.zeros(1)}, {"x": 3}],
    "batch.images": [
        None, [1], torch.zeros(3), torch.zeros(1, 4, 3, 32, 32), torch.zeros(2, 36, 3, 32, 32),
        torch.zeros(1, 36, 3, 0, 32),
    ],
    "batch.proposals": [None, 3, [], [None], [torch.zeros(4)], [torch.zeros(2, 5)]],
    "batch.targets": [None, [], [3], [{}], [{"boxes": torch.zeros(2, 4)}]],
    "batch.keys": [None, [], ["a"], [{"video": "a"}], [{"video": 3, "timestamp": 1}]],
    "batch.seeds": [None, [], ["x"], [1, 2], [-1]],
    "batch.unreadable": [None, 3, [3], "x"],
    "batch.targets.0.boxes": [None, torch.zeros(3, 4), torch.zeros(4), torch.zeros(2, 4).bool()],
    "batch.targets.0.labels": [torch.zeros(2, 7), torch.zeros(5), torch.zeros(1, 5)],
    "batch.targets.0.neighbors": [torch.zeros(2, 1, 4), torch.zeros(2, 0, 2, 4)],
    "batch.targets.0.neighbor_valid": [torch.zeros(2, 1, 2), torch.zeros(2, 2, 2).bool()],
}  # fmt: skip


@pytest.mark.parametrize("part", BROKEN_PARTS)
def test_a_file_with_a_broken_part_is_refused(
    script: Script, fault: Path, tmp_path: Path, part: str
) -> None:
    outcome = script("--replay", fault, "--device", "cpu")
    assert outcome.code == 0, outcome.err
    *parents, last = part.split(".")
    path = tmp_path / "broken.pt"
    for value in [*BROKEN_PARTS[part], KeyError]:
        content = torch.load(fault)
        place = content
        for name in parents:
            place = place[int(name) if name.isdigit() else name]
        if value is KeyError:
            del place[last]
        else:
            place[last] = value
        torch.save(content, path)
        line = script.refuses("--replay", path, "--device", "cpu")
        assert "broken.pt" in line


def keys_in(path: Path) -> list[ClipKey]:
    return read_clip_batch(read_fault(path)[0], "batch").keys


def test_keys_say_in_what_they_count_and_older_files_count_in_seconds(fault: Path, tmp_path: Path):
    assert str(ClipKey("a", 902)) == "video a, second 902"
    assert str(ClipKey("a", 17, "frame")) == "video a, frame 17"
    content = torch.load(fault, weights_only=True)
    for unit in ("frame", "second"):
        content["batch"]["keys"][0]["unit"] = unit
        torch.save(content, tmp_path / "fault.pt")
        assert keys_in(tmp_path / "fault.pt") == [ClipKey("a", 902, unit)]
    del content["batch"]["keys"][0]["unit"]  # as before keys had units
    torch.save(content, tmp_path / "fault.pt")
    assert keys_in(tmp_path / "fault.pt") == [ClipKey("a", 902)]


def test_statistics_are_put_back():
    detector = tiny_detector().train()
    norm = detector.backbone.conv1.batch3d
    before = SavedStatistics(detector)
    norm.running_mean += 1
    norm.num_batches_tracked += 1
    before.restore()
    assert norm.running_mean.abs().max() == 0
    assert norm.num_batches_tracked == 0
    assert not moving_statistics(tiny_detector(freeze_stats=True).train())


# ------------------------------------------------------------------------------ frames


FIRST_CLIP = (902, 12, 12)  # second, frames, frames a second


def broken_copy(data: Path, root: Path, *positions: int) -> tuple[Path, list[str]]:
    """The dataset with frames cut short, at these positions of its first training clip."""
    shutil.copytree(data, root)
    names = clips(root).folders["toy_train_000"].window(*FIRST_CLIP)
    paths = [names[position] for position in positions]
    for path in map(Path, paths):
        path.write_bytes(path.read_bytes()[:60])
    return root, paths


def clips(root: Path) -> AvaClips:
    config = load_config(None, [f"root={root}", "dataset=toy", "image_size=32", "schedule=spatial"])
    config.data.color = config.data.crop = config.data.flip = config.data.erase = False
    return open_split(config, "train")


def test_an_unreadable_frame_becomes_its_neighbour_and_is_named(data: Path, tmp_path: Path):
    root, paths = broken_copy(data, tmp_path / "data", 0, 5)
    whole, broken = clips(data)[0], clips(root)[0]
    assert broken.unreadable == paths
    assert whole.unreadable == []
    # The first of all becomes the one after it, the other the one before.
    assert torch.equal(broken.images[0], whole.images[1])
    assert torch.equal(broken.images[5], whole.images[4])
    others = [1, 2, 3, 4, 6, 7, 8, 9, 10, 11]
    assert torch.equal(broken.images[others], whole.images[others])


def test_training_goes_on_up_to_the_limit(script: Script, data: Path, tmp_path: Path):
    root, paths = broken_copy(data, tmp_path / "data", 0, 5)
    options = arguments("cls", root, tmp_path, "epochs=2")
    fine = script(*options, "max_unreadable=2")
    assert fine.code == 0, fine.err
    for path in paths:  # once each, though both epochs meet them
        assert fine.out.count(f"{path}: cannot be read") == 1
    assert "(2 of 2)" in fine.out
    line = script.refuses(*options, "max_unreadable=1", "name=other")
    assert "data.max_unreadable=1 frames may be replaced, this is number 2" in line


def test_testing_takes_no_other_frames(data: Path, tmp_path: Path):
    root, paths = broken_copy(data, tmp_path / "data", 5)
    dataset = clips(root)
    dataset.replace_unreadable = False
    with pytest.raises(ValueError, match=f"video toy_train_000, second 902: {paths[0]}"):
        dataset[0]


# ------------------------------------------------------------------------------ loader processes


def dying_loader(data: Path, monkeypatch: pytest.MonkeyPatch, wait: float) -> SampleLoader:
    """Its process kills itself, after `wait` seconds, over second 903."""
    dataset = clips(data)
    load = dataset._load

    def die(key, seed):
        if key.timestamp == 903:
            time.sleep(wait)
            os.kill(os.getpid(), signal.SIGKILL)
        return load(key, seed)

    monkeypatch.setattr(dataset, "_load", die)
    return build_loader(dataset, 1, workers=1, train=True, context="fork")


DEATH = r"died while it held video toy_train_000, second 903"


@pytest.mark.parametrize("computing", [False, True])
def test_a_loader_process_that_dies_names_its_sample(
    data: Path, monkeypatch: pytest.MonkeyPatch, computing: bool
):
    """Also where it dies while nobody waits for it: PyTorch then raises out of a signal."""
    loader = dying_loader(data, monkeypatch, wait=0)

    def read_all() -> None:
        with deaths_explained():
            for _ in loader:
                if computing:
                    time.sleep(5)

    with pytest.raises(ChildProcessError, match=DEATH):
        read_all()


@pytest.mark.parametrize(
    "error",
    [ConnectionResetError(), EOFError(), RuntimeError("received 0 items of ancdata")],
    ids=lambda error: type(error).__name__,
)
def test_a_connection_that_breaks_before_the_process_is_gone(
    data: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
):
    """A dying process closes its connections first; that is an error of another kind."""
    loader = dying_loader(data, monkeypatch, wait=1)

    def read_one() -> None:
        with deaths_explained():
            batches = iter(loader)
            next(batches)
            while loader.dataset.keys[int(loader.watched.held[0, 2])].timestamp != 903:
                time.sleep(0.05)
            raise error

    with pytest.raises(ChildProcessError, match=DEATH):
        read_one()


def test_the_death_of_an_idle_process_blames_no_sample(data: Path):
    """As a validation loader's may be while the training goes on."""
    loader = build_loader(clips(data), 1, workers=1, context="fork")

    def compute() -> None:
        with deaths_explained():
            for _ in loader:
                pass
            os.kill(int(loader.watched.held[0, 0]), signal.SIGKILL)
            time.sleep(5)

    with pytest.raises(ChildProcessError, match="died idle, after video toy_train_000"):
        compute()


def test_other_broken_connections_pass(data: Path):
    loader = build_loader(clips(data), 1, workers=1, context="fork")
    for _ in loader:
        pass
    with pytest.raises(ConnectionResetError, match="the store"), deaths_explained():
        raise ConnectionResetError("the store")


def test_a_loader_that_is_still_held_does_not_keep_the_program_from_ending(data: Path):
    """Its process ignores SIGTERM, with which `multiprocessing` would end it and wait."""
    program = f"""
from tests.test_faults import clips
from data.loading.loader import build_loader
loader = build_loader(clips({str(data)!r}), 1, workers=1)
next(iter(loader))
loader.itself = loader  # as a traceback may: not freed before the program ends
del loader
"""
    with start("-c", program) as process:
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
