"""Overfit a small detector on one annotated video: the check of your own data.

    python scripts/overfit.py --video VIDEO --csv ANNOTATION [--label-map FILE] [--output DIR]
                              [--between N | --tubes]

If a detector cannot learn these few key frames by heart, boxes, seconds or labels are wrong. The
video becomes a dataset in AVA's layout (`<output>/dataset`), on which `configs/step/overfit.yaml`
is trained; the result is the frame-mAP on those same key frames, and the video with the detections
drawn on it. Where the annotation has person ids, the detector also sees moments between two
annotated seconds (--between), with boxes on a line from one to the other.

With --tubes the persons are followed from key frame to key frame, each with one action at a time, a
detector of tubes is trained (`configs/step/overfit_tubes.yaml`), and the result is frame-mAP and
video-mAP. An earlier result of this script in the output folder is replaced once the new dataset is
complete; the script refuses to replace anything else there.
"""

from __future__ import annotations

import argparse
import math
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import utils.system.early_signals  # noqa: E402, F401, before what takes long to import

# isort: split
import torch  # noqa: E402, ROOT must be on the path first

from data.datasets.ava_records import read_records  # noqa: E402, ROOT must be on the path first
from data.prepare.manifest import ExtractSettings  # noqa: E402
from data.prepare.one_tube_video import prepare_tube_video  # noqa: E402
from data.prepare.one_video import prepare_video_dataset  # noqa: E402
from external.files import real_path  # noqa: E402
from recipes import CONFIGS  # noqa: E402
from recipes.demo import run_demo  # noqa: E402
from recipes.demo_options import DemoOptions  # noqa: E402
from recipes.testing import TestRequest, run_test  # noqa: E402
from recipes.training import train  # noqa: E402
from utils.config.base import BaseConfig  # noqa: E402
from utils.config.loading import load  # noqa: E402
from utils.config.step import DataConfig  # noqa: E402
from utils.engine.determinism import set_deterministic  # noqa: E402
from utils.formats.labels import read_label_map  # noqa: E402
from utils.system.cli import run_main  # noqa: E402
from utils.system.console import tolerant_output  # noqa: E402
from utils.system.distributed import start_process, stop_process  # noqa: E402
from utils.system.interrupt import Interrupted  # noqa: E402
from utils.system.locks import folder_lock  # noqa: E402
from utils.system.outputs import check_replaceable, made_here, note_made  # noqa: E402
from utils.system.staging import staging_folder  # noqa: E402

CONFIG = ROOT / "configs" / "step" / "overfit.yaml"
TUBES = ROOT / "configs" / "step" / "overfit_tubes.yaml"
# What this script makes in its output folder.
FOLDERS = ("dataset", "train", "test", "demo")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--video", type=Path, required=True, help="the video file")
    add("--csv", type=Path, required=True, help="its annotation in AVA's 7 or 8 columns")
    add(
        "--label-map",
        type=Path,
        default=ROOT / "configs" / "ava_actions_v2.1.csv",
        help="names of the label ids (pbtxt, CSV or YAML); default: AVA v2.1's 60",
    )
    add("--output", type=Path, help="default: runs/overfit_<video>, or runs/overfit_tubes_<video>")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument(
        "--between",
        type=int,
        default=3,
        metavar="N",
        help="moments to train on between two seconds with the same person ids (default: 3)",
    )
    kind.add_argument(
        "--tubes", action="store_true", help="train a detector of tubes; takes person ids"
    )
    add("overrides", nargs="*", metavar="key=value", help="options of train.py")
    return parser.parse_intermixed_args()


def config_file(arguments: argparse.Namespace) -> Path:
    """The configuration that is trained."""
    return TUBES if arguments.tubes else CONFIG


def check_inputs_outside(output: Path, inputs: list[Path]) -> None:
    """Raise `ValueError` naming an input that lies where this script replaces earlier results."""
    replaced = [real_path(output / name) for name in FOLDERS]
    for path in inputs:
        if any(real_path(path).is_relative_to(folder) for folder in replaced):
            raise ValueError(
                f"{path}: lies in a folder that this command replaces; move it, or give another "
                "--output"
            )


def make_dataset(arguments: argparse.Namespace, output: Path) -> Path:
    """The dataset in `<output>/dataset`, whole, with earlier results of the folder removed."""
    check_replaceable(output, FOLDERS)
    classes = read_label_map(arguments.label_map)
    with staging_folder(output) as staging:
        inputs = arguments.video, arguments.csv, classes, staging / "dataset"
        if arguments.tubes:
            prepare_tube_video(*inputs)
        else:
            prepare_video_dataset(*inputs, arguments.between)
        check_replaceable(output, FOLDERS)
        note_made(output, "overfit", FOLDERS)
        for name in FOLDERS:
            clear_away(output / name)
        (staging / "dataset").replace(output / "dataset")
        note_files(output)
    return output / "dataset"


def note_files(output: Path) -> None:
    """Note every file of the results as this command's: the next call may remove them."""
    note_made(output, "overfit", results_in(output, FOLDERS))


def results_in(output: Path, folders: Iterable[str]) -> set[str]:
    """The files below `folders` of `output`, links among them, relative to `output`."""
    found = (path for name in folders for path in (output / name).rglob("*"))
    return {str(p.relative_to(output)) for p in found if p.is_symlink() or not p.is_dir()}


def clear_away(folder: Path) -> None:
    """Remove an earlier result, or set it aside where it holds files that were not noted.

    These may be the user's; they are also what a run left that was killed.
    """
    noted = made_here(folder.parent).get("overfit", [])
    unknown = sorted(results_in(folder.parent, [folder.name]) - set(noted))
    if not unknown:
        shutil.rmtree(folder, ignore_errors=True)
        return
    number = 1
    while (aside := folder.with_name(f"{folder.name}.{number}")).exists():
        number += 1
    folder.rename(aside)
    print(f"{folder}: has {unknown[0]}, which no finished run wrote; the folder is now {aside}")


def main() -> None:
    arguments = parse_arguments()
    if not 0 <= arguments.between < ExtractSettings.fps:
        raise ValueError(
            f"--between: expected 0 to {ExtractSettings.fps - 1} moments, got {arguments.between}"
        )
    load(CONFIGS, config_file(arguments), arguments.overrides)
    kind = "overfit_tubes" if arguments.tubes else "overfit"
    output = arguments.output or ROOT / "runs" / f"{kind}_{arguments.video.stem}"
    check_inputs_outside(output, [arguments.video, arguments.csv, arguments.label_map])
    with folder_lock(output, "overfitting"):
        overfit(arguments, output)


def overfit(arguments: argparse.Namespace, output: Path) -> None:
    """Make the dataset, train, test, and draw what was learned."""
    dataset = make_dataset(arguments, output)
    try:
        learn(arguments, output, dataset)
    finally:
        note_files(output)


def learn(arguments: argparse.Namespace, output: Path, dataset: Path) -> None:
    """Train on the dataset, test, and draw, as `train.py`, `test.py` and `demo.py` do."""
    print(f"dataset: {dataset}", flush=True)
    settings = [f"root={dataset}", f"output={output}", "name=train"]
    if not arguments.tubes:
        settings += same_iterations(dataset, arguments.overrides)
    config = load(CONFIGS, config_file(arguments), [*settings, *arguments.overrides])
    checkpoint = output / "train" / "latest.pt"
    device = start_process(timeout=config.train.peer_timeout)
    try:
        train_anew(config, device)
        set_deterministic(False, device)  # if training was, testing and drawing are not
        run_test(TestRequest(checkpoint, output / "test", str(dataset)), device)
    finally:
        stop_process()
    if not run_demo(DemoOptions(checkpoint, output / "demo", [arguments.video])):
        sys.exit(1)


def same_iterations(dataset: Path, overrides: Sequence[str]) -> list[str]:
    """The option that makes more key frames take as many iterations as the annotated ones would.

    No option where `overrides` say how long is trained.
    """
    given = {option.partition("=")[0].removeprefix("train.") for option in overrides}
    if given & {"epochs", "iterations"}:
        return []
    defaults = DataConfig()
    trained = len(read_records(dataset / defaults.train_labels).images)
    annotated = len(read_records(dataset / defaults.val_labels).images)
    epochs = load(CONFIGS, CONFIG).train.epochs
    fewer = math.ceil(epochs * annotated / trained)
    if fewer == epochs:
        return []
    print(
        f"trains on {trained - annotated} moments between the {annotated} annotated ones too: "
        f"{fewer} epochs instead of {epochs}, which is as long"
    )
    return [f"epochs={fewer}"]


def train_anew(config: BaseConfig, device: torch.device) -> None:
    """Train; a signal's message says what this script does then, which never resumes."""
    try:
        with tolerant_output("the output cannot be written; training goes on"):
            train(config, device)
    except Interrupted as signalled:
        message = "interrupted in training; the same command begins anew"
        raise Interrupted(signalled.signum, message) from None


if __name__ == "__main__":
    run_main(main)
