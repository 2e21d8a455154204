"""The loop: resuming, refusing, overfitting, two processes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from models.step.criterion import StepCriterion
from models.step.training import DetectionPass
from recipes.training import open_run
from tests.helpers import (
    ROOT,
    random_boxes,
    random_clips,
    random_targets,
    tiny_detector,
    tiny_model,
)
from utils.config.step import Config
from utils.engine.interfaces import Validation
from utils.engine.precision import Precision
from utils.engine.progress import summarize_losses
from utils.engine.schedules import warmup_cosine
from utils.engine.trainer import Schedule, Trainer
from utils.evaluation.detection_loop import collect_detections
from utils.structures import ClipBatch, ClipKey, StepOutput
from utils.system.interrupt import Interrupted

TAUS = [0.2, 0.35, 0.5]


class Batches:
    """A loader of `count` fixed batches of two clips."""

    batch_size = 2

    def __init__(self, detector, count=2):
        self.items = [
            ClipBatch(
                random_clips(detector, 2, seed=i),
                [random_boxes(8, seed=2 * i), random_boxes(8, seed=2 * i + 1)],
                [random_targets(1, seed=i), random_targets(2, seed=i + 9)],
                [ClipKey("a", i), ClipKey("b", i)],
                [i, i + 50],
            )
            for i in range(count)
        ]

        self.start = 0

    def set_epoch(self, epoch: int, start_iteration: int = 0) -> None:
        self.epoch, self.start = epoch, start_iteration

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self):
        return iter(self.items[self.start :])


def judged(score: float = 0.5) -> Validation:
    return Validation(score, {"seen": score}, {"figure": score}, f"figure {score}")


def settings(output: Path) -> Config:
    config = Config(model=tiny_model())
    config.train.output, config.train.name = str(output), "run"
    return config


def make_trainer(
    output: Path, iterations: int = 8, metrics=None, schedule=None, **changes
) -> Trainer:
    """A trainer of 2 iterations an epoch, resumed where `output` holds a run already."""
    torch.manual_seed(0)
    detector = tiny_detector(**({"dropout": 0.3} | changes)).train()
    config = settings(output)
    loader = Batches(detector)
    optimizer = torch.optim.Adam(detector.parameters(), lr=1e-3)
    scores = iter(metrics or [0.1] * 100)
    run = open_run(config)
    trainer = Trainer(
        DetectionPass(detector, TAUS),
        detector,
        StepCriterion(),
        optimizer,
        warmup_cosine(optimizer, 8, 2, 0.1),
        Precision(torch.device("cpu")),
        loader,
        lambda: judged(next(scores)),
        run,
        Schedule(iterations, **({"log_every": 1} | (schedule or {}))),
        identity={"config": config.to_dict(), "classes": {1: "a"}},
    )
    if run.checkpoint is not None:
        trainer.resume(run.checkpoint)
    return trainer


def losses_of(run: Path) -> list[float]:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [line["loss/total"] for line in lines if line["kind"] == "train"]


def test_eight_iterations_are_three_a_stop_and_five_more(tmp_path):
    # Three is in the middle of the second epoch; dropout is on and batch norm moves.
    make_trainer(tmp_path / "whole").fit()
    make_trainer(tmp_path / "parts", iterations=3).fit()
    torch.manual_seed(123)
    again = make_trainer(tmp_path / "parts")
    assert (again.state.iteration, again.epoch) == (3, 1)
    again.fit()
    whole, parts = losses_of(tmp_path / "whole/run"), losses_of(tmp_path / "parts/run")
    assert len(whole) == 8
    assert whole == parts


def change_saved_settings(run: Path, change: Callable[[dict], object]) -> None:
    """Make the checkpoints of `run` those of another version of the code."""
    for path in run.glob("*.pt"):
        content = torch.load(path, weights_only=True)
        change(content["config"])
        torch.save(content, path)


def test_a_run_begun_before_an_option_existed_goes_on(tmp_path):
    make_trainer(tmp_path, iterations=3).fit()
    change_saved_settings(tmp_path / "run", lambda config: config["train"].pop("weight_decay", 0))
    assert make_trainer(tmp_path).state.iteration == 3
    open_run(settings(tmp_path)).close()
    config = settings(tmp_path)
    config.train.weight_decay = 0.5
    wanted = r"train\.weight_decay was 1e-07 \(the default: there was no such option\), is 0\.5"
    with pytest.raises(ValueError, match=f"was trained with other settings: {wanted}"):
        open_run(config)


def test_a_run_with_an_option_that_is_known_no_more_is_refused(tmp_path):
    make_trainer(tmp_path, iterations=3).fit()
    change_saved_settings(tmp_path / "run", lambda config: config["model"].update(old=5))
    with pytest.raises(ValueError, match=r"other settings: model\.old was 5, is no option of this"):
        open_run(settings(tmp_path))


def test_validating_does_not_change_the_training(tmp_path):
    make_trainer(tmp_path / "often").fit()
    make_trainer(tmp_path / "once", schedule={"validate_every": 0}).fit()
    assert losses_of(tmp_path / "often/run") == losses_of(tmp_path / "once/run")


def test_two_clips_are_overfitted(tmp_path):
    trainer = make_trainer(tmp_path, iterations=40, dropout=0.0)
    trainer.loader.items = trainer.loader.items[:1]
    trainer.scheduler = warmup_cosine(trainer.optimizer, 40, 2, 0.1)
    trainer.fit()
    losses = losses_of(tmp_path / "run")
    assert losses[-1] < 0.4 * losses[0]


def test_the_best_checkpoint_is_the_best_validation_s(tmp_path):
    make_trainer(tmp_path, 6, metrics=[0.2, 0.6, 0.4]).fit()
    best = torch.load(tmp_path / "run/best.pt", weights_only=True)
    latest = torch.load(tmp_path / "run/latest.pt", weights_only=True)
    assert (best["epoch"], best["best_score"], latest["epoch"]) == (2, 0.6, 3)
    assert "optimizer" not in best
    assert latest["metrics"] == {"seen": 0.4}


def test_the_best_is_there_before_the_checkpoint_that_knows_of_it(tmp_path, monkeypatch):
    trainer = make_trainer(tmp_path, 4, metrics=[0.2, 0.6])
    save = trainer.run.store.save

    def killed_at_the_second_validation(content):
        if content["best_score"] == 0.6:
            raise KeyboardInterrupt
        save(content)

    monkeypatch.setattr(trainer.run.store, "save", killed_at_the_second_validation)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit()
    best = torch.load(tmp_path / "run/best.pt", weights_only=True)
    assert (best["epoch"], best["best_score"]) == (2, 0.6)
    again = make_trainer(tmp_path, 4, metrics=[0.6])
    assert again.fit() == {"seen": 0.6}


def test_a_signal_in_validation_saves_what_a_full_disk_had_kept_from_being_saved(
    tmp_path, monkeypatch
):
    trainer = make_trainer(tmp_path, 4)
    save, full = trainer.run.store.save, [True]

    def save_unless_full(content):
        if full:
            full.clear()
            raise OSError(28, "No space left on device")
        save(content)

    def stopped():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)

    monkeypatch.setattr(trainer.run.store, "save", save_unless_full)
    trainer.validate = stopped
    with pytest.raises(Interrupted, match="stopped after iteration 2; all is saved"):
        trainer.fit()
    assert torch.load(tmp_path / "run/latest.pt", weights_only=True)["iteration"] == 2


def test_a_loss_that_is_not_finite_stops_with_its_parts_and_clips(tmp_path):
    trainer = make_trainer(tmp_path)
    trainer.detector.heads[1].classifier.bias.data.fill_(torch.nan)
    wanted = r"iteration 0, process 0: .*step2/classification is nan.*clips: a second 0, b second 0"
    with pytest.raises(FloatingPointError, match=wanted):
        trainer.fit()


def test_a_signal_while_a_batch_is_waited_for_saves_and_stops(tmp_path):
    trainer = make_trainer(tmp_path)

    class Blocked(Batches):
        def __iter__(self):
            yield self.items[0]
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(20)

    trainer.loader = Blocked(trainer.detector)
    started = time.monotonic()
    with pytest.raises(Interrupted, match="stopped after iteration 1; all is saved"):
        trainer.fit()
    assert time.monotonic() - started < 10
    assert torch.load(tmp_path / "run/latest.pt", weights_only=True)["iteration"] == 1


def test_weights_that_the_last_update_broke_are_not_saved(tmp_path):
    """The loss was finite: it was computed of the weights before."""
    trainer = make_trainer(tmp_path, 2)
    step = trainer.optimizer.step

    def break_weights(*arguments, **options):
        step(*arguments, **options)
        if trainer.state.iteration == 1:
            trainer.detector.heads[2].classifier.weight.data[0] = torch.nan

    trainer.optimizer.step = break_weights
    wanted = r"iteration 2: its update left heads\.2\.classifier\.weight not finite; not saved"
    with pytest.raises(FloatingPointError, match=wanted):
        trainer.fit()
    assert not list((tmp_path / "run").glob("*.pt"))


@pytest.mark.parametrize(("saved", "left"), [([2, 4], "checkpoint_0000002.pt"), ([4], "")])
def test_weights_without_a_finite_loss_do_not_stand_in_the_way(tmp_path, saved, left):
    """They are finite, so they are saved; their first loss is not."""
    trainer = make_trainer(tmp_path, schedule={"validate_every": 0})
    save, step = trainer.save, trainer.train_step

    def save_some(*arguments, **options):
        if trainer.state.iteration in saved:
            save(*arguments, **options)

    def grow(batch):
        losses = step(batch)
        if trainer.state.iteration == 3:
            trainer.detector.heads[1].classifier.weight.data.fill_(3e38)
        return losses

    trainer.save, trainer.train_step = save_some, grow
    hint = f"goes on from {left}, and ends here again" if left else "begins anew; lower"
    wanted = rf"iteration 4, .*is now .*checkpoint_0000004\.pt\.nonfinite\. The same command {hint}"
    with pytest.raises(FloatingPointError, match=wanted):
        trainer.fit()
    trainer.run.close()
    again = make_trainer(tmp_path)
    assert again.state.iteration == (saved[0] if left else 0)
    again.fit()
    make_trainer(tmp_path / "whole").fit()
    assert losses_of(tmp_path / "run") == losses_of(tmp_path / "whole/run")


@pytest.mark.parametrize(
    ("losses", "text"),
    [
        ({"step1/location": 0.5, "step2/location": 0.25, "total": 1.0}, "1.000 (location 0.750)"),
        ({"activity": 0.5, "total": 1.0}, "1.000 (activity 0.500)"),
        ({"total": 1.0}, "1.000"),
    ],
)
def test_the_parts_of_a_loss_are_summed_over_the_steps_if_it_has_any(losses, text):
    assert summarize_losses(losses) == f"loss {text}"


def test_a_long_run_says_early_how_long_it_will_take(tmp_path, capsys):
    trainer = make_trainer(tmp_path, iterations=40)
    steps = iter([0.0, 500.0])  # the first iteration takes none of them: it is not counted
    train_step, slept = trainer.train_step, []
    trainer.train_step = lambda batch: (slept.append(next(steps, 0.0)), train_step(batch))[1]
    now = time.perf_counter
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("utils.engine.trainer.time.perf_counter", lambda: now() + sum(slept))
        trainer.train_epoch()
    said = [line for line in capsys.readouterr().out.splitlines() if "an iteration takes" in line]
    assert len(said) == 1
    assert ": about 5:1" in said[0]  # 38 of 500 s are 5:16:40
    assert said[0].endswith("for the 38 that are left, validation not counted")
    make_trainer(tmp_path / "short").fit()
    assert "an iteration takes" not in capsys.readouterr().out


def test_a_run_with_other_settings_is_not_continued(tmp_path):
    make_trainer(tmp_path).fit()
    config = settings(tmp_path)
    config.train.epochs, config.data.workers = 99, 1
    with pytest.raises(ValueError, match=r"train\.epochs was 14, is 99\. Give this run another"):
        open_run(config)


def test_starting_anew_sets_the_earlier_run_aside(tmp_path):
    make_trainer(tmp_path, 2).fit()
    open_run(settings(tmp_path), resume=False).close()
    assert (tmp_path / "run.1/latest.pt").is_file()
    assert not (tmp_path / "run/latest.pt").exists()


def test_detection_on_annotation_proposes_the_annotated_boxes():
    detector = tiny_detector()

    class Seen:
        def add(self, batch: ClipBatch, outputs: list[StepOutput]) -> None:
            assert [len(p) for p in batch.proposals] == [1, 2]
            assert torch.equal(batch.proposals[0], batch.targets[0].boxes)
            self.added = len(outputs)

        def merge(self) -> None:
            self.merged = True

    seen = Seen()
    detector.train()
    collect_detections(
        detector, [Batches(detector).items[0]], seen, torch.device("cpu"), on_annotation=True
    )
    assert seen.added == 3
    assert seen.merged
    assert detector.training


GRADIENT_SCRIPT = """
import sys, torch
from torch.nn.parallel import DistributedDataParallel
from models.step.criterion import StepCriterion
from models.step.training import DetectionPass
from tests.helpers import clip_batch, random_boxes, random_clips, random_targets, tiny_detector
from utils.system.distributed import rank, start_process, stop_process, world_size
start_process("cpu")
detector = tiny_detector(freeze_stats=True).train()
persons = {persons}
part = range(rank() * 2, rank() * 2 + 2) if world_size() == 2 else range(4)
images = random_clips(detector, 4)[list(part)]
proposals = [random_boxes(8, seed=i) for i in part]
targets = [random_targets(persons[i], seed=i) for i in part]
model = DetectionPass(detector, [0.2, 0.35, 0.5])
if world_size() == 2:
    model = DistributedDataParallel(model)
batch = clip_batch(images, proposals, targets, list(part))
StepCriterion()(model(batch))["total"].backward()
if rank() == 0:
    named = detector.named_parameters()
    torch.save({{n: p.grad for n, p in named if p.requires_grad}}, sys.argv[1])
stop_process()
"""


@pytest.mark.parametrize("persons", [[2, 1, 3, 1], [2, 1, 0, 0]], ids=["uneven", "none_on_one"])
def test_two_processes_give_the_gradient_of_one(tmp_path, persons):
    script = tmp_path / "gradient.py"
    script.write_text(GRADIENT_SCRIPT.format(persons=persons))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for arguments, out in (([], "one.pt"), (launch, "two.pt")):
        command = [sys.executable, *arguments, str(script), str(tmp_path / out)]
        subprocess.run(command, env=environment, check=True, capture_output=True, timeout=300)
    one, two = (torch.load(tmp_path / f) for f in ("one.pt", "two.pt"))
    assert one.keys() == two.keys()
    for name, gradient in one.items():
        scale = gradient.abs().max().clamp(min=1e-6)
        assert (gradient - two[name]).abs().max() / scale < 1e-4, name
