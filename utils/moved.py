"""Modules by the names they had before: importing one works for one version, with a warning.

A name that has become a package (`utils.engine`) finds what its module had by `forward`.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

MOVED = {
    "data.annotations": "data.datasets.ava_annotations",
    "data.clips": "data.windows",
    "data.containers": "data.video.containers",
    "data.dataset": "data.datasets.ava",
    "data.extract": "data.prepare.extract",
    "data.folders": "data.video.folders",
    "data.frame_folders": "data.prepare.frame_folders",
    "data.inputs": "data.video.inputs",
    "data.loader": "data.loading.loader",
    "data.manifest": "data.prepare.manifest",
    "data.records": "data.datasets.ava_records",
    "data.sound": "data.video.sound",
    "data.stream": "data.video.stream",
    "data.timeline": "data.video.timeline",
    "data.validation": "data.datasets.ava_validation",
    "data.video_file": "data.video.file",
    "data.video_writer": "data.video.writer",
    "models.backbone": "models.backbones.base",
    "models.build": "models.step.build",
    "models.criterion": "models.step.criterion",
    "models.detector": "models.step.detector",
    "models.heads": "models.step.heads",
    "models.i3d": "models.backbones.i3d",
    "models.inference": "models.step.inference",
    "models.origin": "models.weights.origin",
    "models.rates": "models.step.rates",
    "models.released": "models.weights.released",
    "models.sampling": "models.step.sampling",
    "models.settings": "models.weights.settings",
    "models.tiny3d": "models.backbones.tiny3d",
    "models.training": "models.step.training",
    "utils.agreement": "utils.engine.agreement",
    "utils.allocator": "utils.system.allocator",
    "utils.ava_csv": "utils.formats.ava_csv",
    "utils.boxes": "utils.geometry.boxes",
    "utils.checkpoint": "utils.formats.checkpoints",
    "utils.checkpoint_store": "utils.runs.checkpoint_store",
    "utils.cli": "utils.system.cli",
    "utils.console": "utils.system.console",
    "utils.determinism": "utils.engine.determinism",
    "utils.devices": "utils.system.devices",
    "utils.distributed": "utils.system.distributed",
    "utils.drawing": "utils.reporting.drawing",
    "utils.faults": "utils.engine.faults",
    "utils.formats.options": "utils.config.options",
    "utils.groundtruth": "utils.evaluation.groundtruth",
    "utils.inference": "utils.evaluation.detection_loop",
    "utils.interrupt": "utils.system.interrupt",
    "utils.jitter": "utils.geometry.jitter",
    "utils.labels": "utils.formats.labels",
    "utils.memory": "utils.system.memory",
    "utils.metrics_text": "utils.evaluation.text",
    "utils.overlaps": "utils.evaluation.overlaps",
    "utils.peers": "utils.system.peers",
    "utils.person_files": "utils.reporting.person_files",
    "utils.pictures": "utils.reporting.validation_pictures",
    "utils.pipeline": "utils.system.pipeline",
    "utils.postprocess": "utils.evaluation.postprocess",
    "utils.precision": "utils.engine.precision",
    "utils.processes": "utils.system.processes",
    "utils.profiling": "utils.engine.profiling",
    "utils.progress": "utils.engine.progress",
    "utils.proposals": "utils.geometry.grid",
    "utils.report": "utils.runs.results",
    "utils.run": "utils.runs.folder",
    "utils.run_log": "utils.runs.log",
    "utils.run_settings": "utils.runs.settings",
    "utils.run_state": "utils.runs.state",
    "utils.schedules": "utils.engine.schedules",
    "utils.stall": "utils.system.stall",
    "utils.tubes": "utils.geometry.tubes",
    "utils.waiting": "utils.system.waiting",
}
"""Old name to new name."""

SPLIT = {
    "data.loader": ("data.loading.samplers", "data.loading.workers"),
    "models.build": ("models.registry",),
    "utils.faults": ("utils.formats.clip_batches",),
    "utils.person_files": ("utils.reporting.person_track",),
    "utils.postprocess": ("utils.reporting.persons", "utils.reporting.person_track"),
}
"""Old name to the modules that took over names which the module of `MOVED` lacks."""


def install() -> None:
    """Let the old names be found, after everything that exists."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())


def forward(package: str, *modules: str) -> Callable[[str], Any]:
    """Return the `__getattr__` of `package`, which finds there the names of `modules`.

    It raises `AttributeError` for names that `modules` lack, too.
    """

    def find(name: str) -> Any:
        for module in () if name.startswith("__") else modules:
            found = importlib.import_module(module)
            if hasattr(found, name):
                _warn(f"{package}.{name}", f"{module}.{name}")
                return getattr(found, name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return find


class _Finder(MetaPathFinder):
    """Finds the modules of `MOVED`."""

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        return ModuleSpec(name, _Loader(MOVED[name])) if name in MOVED else None


class _Loader(Loader):
    """Loads the module that has taken the place of another."""

    def __init__(self, new_name: str) -> None:
        self.new_name = new_name

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        _warn(spec.name, self.new_name)
        return ModuleType(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        # The import system then takes from here what stands under the name: the new module itself.
        found = importlib.import_module(self.new_name)
        others = SPLIT.get(module.__name__)
        if others is not None:
            found.__dict__.setdefault("__getattr__", forward(self.new_name, *others))
        sys.modules[module.__name__] = found


def _warn(old: str, new: str) -> None:
    warnings.warn(f"{old} is now {new}", FutureWarning, stacklevel=4)
