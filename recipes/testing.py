"""What `test.py` does, for every detector: `run_test` tests a checkpoint."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, TypedDict

import torch

from data.loading.workers import deaths_explained
from external.files import read_json, real_path
from models import open_checkpoint
from recipes import RECIPES
from recipes.base import DetectorTest, FusionRequest
from utils.config.loading import load
from utils.formats.schema import check_shape
from utils.runs.settings import default_output, with_run_data
from utils.system.cli import default_checkpoint
from utils.system.distributed import is_main
from utils.system.locks import folder_lock
from utils.system.outputs import check_replaceable, made_here, note_made, write_whole
from utils.system.staging import staged_results


class _Figures(TypedDict, total=False):
    """What a file of figures says of where they come from."""

    checkpoint: str
    checkpoints: list[str]


@dataclass(frozen=True)
class TestRequest:
    """What is to be tested; for each the default is that of `test.py`.

    Attributes:
        checkpoint: The file.
        output: Folder of the results.
        data_root: The dataset's folder.
        config: A YAML file, and overrides: `key=value`, with options of the sections data and test.
        fused: Further checkpoints, which are tested together with the first.
        fusion: How.
        weights: Of all of them, none: equal ones.
    """

    __test__ = False  # not a test case, whatever its name suggests to pytest

    checkpoint: Path | None = None
    output: Path | None = None
    data_root: str = ""
    config: Path | None = None
    overrides: Sequence[str] = ()
    fused: Sequence[Path] = ()
    fusion: str = ""
    weights: Sequence[float] = ()


def run_test(request: TestRequest, device: torch.device) -> None:
    """Check everything, detect on the whole validation set, judge, write.

    In several processes all call this together.

    Raises:
        ValueError, OSError: Naming the file or the option for a user's mistake.
    """
    path = request.checkpoint or default_checkpoint()
    tested = build_test(request, [path, *request.fused])
    output = request.output or default_output(path, "test")
    if is_main():
        check_output(output, [*tested.judged_files, *tested.detection_files])
    subject = tested.prepare(device)
    if is_main():
        together = ", ".join(map(str, [path, *request.fused]))
        print(f"testing {together} on {subject}", flush=True)
        if line := tell_replaced(output / tested.judged_files[0], [path, *request.fused]):
            print(line, flush=True)
    with folder_lock(output, "testing") if is_main() else nullcontext():
        with deaths_explained():
            tested.detect()
        if is_main():
            write_results(tested, output)


def build_test(request: TestRequest, paths: Sequence[Path]) -> DetectorTest:
    """Return the test of a checkpoint, or of several together.

    Raises:
        ValueError: For checkpoints that do not go together.
    """
    checkpoints = [open_checkpoint(path) for path in paths]
    configs = [
        resolve_config(with_run_data(checkpoint.config, path), request)
        for checkpoint, path in zip(checkpoints, paths, strict=True)
    ]
    recipe = RECIPES[configs[0].detector]
    if request.weights and not request.fusion:
        raise ValueError("--weights: only with --fusion, one for each checkpoint")
    if len(paths) == 1 and not request.fusion:
        return recipe.build_test(checkpoints[0], configs[0])
    for path, config in zip(paths, configs, strict=True):
        if config.detector != configs[0].detector:
            raise ValueError(
                f"{path}: cannot be fused with {paths[0]}: expected a checkpoint of "
                f"{configs[0].detector}, got one of {config.detector}"
            )
    if recipe.build_fused_test is None:
        raise ValueError(
            f"{paths[0]}: test.py cannot fuse checkpoints of {configs[0].detector}: give one "
            "checkpoint"
        )
    if not request.fusion or len(paths) < 2:
        raise ValueError(
            "several checkpoints need --fusion KIND, and --fusion needs two checkpoints or more"
        )
    weights = list(request.weights) or [1.0] * len(paths)
    members = list(zip(checkpoints, configs, strict=True))
    return recipe.build_fused_test(members, FusionRequest(request.fusion, weights))


def resolve_config(saved: Any, request: TestRequest) -> Any:
    """The checkpoint's settings with the user's for data and test; the model is what it is."""
    kinds = {saved.detector: type(saved)}
    if load(kinds, None, request.overrides, saved).train != saved.train:
        raise ValueError(
            "test.py takes options of the sections data and test only, got one of the section train"
        )
    config = load(kinds, request.config, request.overrides, saved)
    if request.data_root:
        config.data.root = request.data_root
    for name, value in dataclasses.asdict(saved.model).items():
        if getattr(config.model, name) != value:
            raise ValueError(
                f"model.{name}: the checkpoint has {value!r}, got {getattr(config.model, name)!r}"
            )
    return dataclasses.replace(config, train=saved.train)


def check_output(output: Path, names: Sequence[str]) -> None:
    """Raise `ValueError` before any work for an output folder that holds files of others."""
    if output.exists() and not output.is_dir():
        raise ValueError(f"{output}: expected a folder for results, a file is there")
    check_replaceable(output, names)


def tell_replaced(figures: Path, checkpoints: Sequence[Path]) -> str:
    """Return a line about results that are replaced; empty if `checkpoints` made them, or nobody.

    Args:
        figures: The file of a test that names the checkpoints it was made with.
    """
    try:
        known = check_shape(read_json(figures), _Figures, figures, "a file of test.py")
    except (ValueError, OSError):  # no file, or none of ours
        return ""
    made_by = [known["checkpoint"]] if "checkpoint" in known else known.get("checkpoints", [])
    if not made_by or [real_path(path) for path in made_by] == [*map(real_path, checkpoints)]:
        return ""
    return f"{figures.parent}: replaces the results of {', '.join(made_by)}"


def write_results(tested: DetectorTest, output: Path) -> None:
    """Write the detections, judge them, write the figures and show them.

    Detections may have taken hours, so they are on disk before they are judged. Earlier results
    are removed first: figures never stand beside detections that they do not belong to.
    """
    earlier = [n for n in made_here(output).get("test", []) if fnmatch(n, tested.pattern)]
    for name in (*tested.judged_files, *earlier):
        (output / name).unlink(missing_ok=True)
    note_made(output, "test", [*tested.detection_files, *tested.judged_files])
    with staged_results(output) as folder:
        tested.write_detections(folder)
    print(f"detections: {output / tested.pattern}", flush=True)
    judgement = tested.judge()
    for name in reversed(tested.judged_files):  # the main figures are there last
        write_whole(output / name, judgement.files[name])
    print(judgement.text)
    print(f"results: {output / tested.judged_files[0]}, {output / tested.pattern}")
