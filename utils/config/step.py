"""Configuration: typed dataclasses, YAML files, `key=value` overrides, `--help` for every option.

A configuration file holds values only (`configs/`); what it does not set keeps the default below.
Defaults are the paper's AVA setting (STEP, section 4.1, and the release) unless a comment says so.
Option names are unique across sections, so an override may leave the section out:
`train.epochs=3` and `epochs=3` are the same.
"""

from __future__ import annotations

import dataclasses
import difflib
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from external.files import parse_yaml, read_text
from utils.config.options import LONGEST_TEXT, check_range, coerce, option, type_name
from utils.formats.schema import shown
from utils.geometry.grid import PRESETS, is_grid
from utils.geometry.tubes import SCHEDULES
from utils.system.outputs import write_whole

WHAT = "configuration file"
LARGEST_FILE = 1 << 18
"""Bytes of a configuration file; ours have one or two thousand."""

LARGEST_LAYER = 2**28
"""Weights of the largest layer: 1 GiB."""


MOST = 10**9
"""Largest number of iterations, epochs and whatever is counted in them."""


@dataclass
class ModelConfig:
    """What the detector is built from; saved in every checkpoint and obeyed when it is loaded."""

    backbone: Literal["i3d", "tiny3d"] = option("i3d", "backbone and its tail in heads and context")
    width: int = option(64, "channels of the backbone's first stage; i3d has 64 only", 1, 1024, 1)
    num_classes: int = option(0, "action classes; 0: as many as the label map lists", 0, 10_000, 1)
    steps: int = option(3, "progressive steps S (paper: 3); the cls stage has 1", 1, 4, 1)
    schedule: Literal["spatial", "temporal", "temporal2"] = option(
        "temporal", "chunks per step: spatial 1,1,1,1; temporal 1,1,3,3; temporal2 1,3,3,5"
    )
    extension: Literal["predict", "extrapolate", "mean"] = option(
        "predict", "how tubes grow in time: location anticipation, a straight line, the mean box"
    )
    clip_steps: int = option(
        3, "clip length T in feature steps; 3 is one second, cls takes 9", 1, 64, 1
    )
    context: bool = option(True, "append the scene context branch to the classifier's input")
    local_branch: bool = option(True, "regress boxes; the cls stage does not")
    fc_dim: int = option(256, "channels that each branch flattens for its linear layer", 1, 4096, 1)
    local_dim: int = option(1024, "channels of the local branch's bottlenecks", 4, 8192, 4)
    pool_mode: Literal["align", "pool"] = option("align", "RoI align or RoI max pooling")
    pool_size: int = option(7, "side of the pooled grid", 1, 32, 1)
    dropout: float = option(0.3, "dropout before the linear layers", 0, 1, open_end=True)
    freeze_stats: bool = option(True, "keep batch norm's running statistics as loaded")
    freeze_affine: bool = option(True, "keep batch norm's scale and shift as loaded")

    @property
    def chunks(self) -> tuple[int, ...]:
        """Chunks of each step."""
        return SCHEDULES[self.schedule][: self.steps]


@dataclass
class DataConfig:
    """Where clips come from and how they are cut. Relative paths start at `root`."""

    dataset: str = option("ava", "name of the dataset; its folder is datasets/<name> by default")
    root: str = option("", "the dataset's folder; empty: datasets/<dataset> in the repository")
    frames: str = option("frames", "folder of <video>/<second>/*.jpg")
    label_map: str = option(
        "annotations/ava_action_list_v2.1_for_activitynet_2018.pbtxt", "classes that are trained"
    )
    train_labels: str = option("annotations/ava_train_v2.1.csv", "annotation, .csv or .pkl")
    val_labels: str = option("annotations/ava_val_v2.1.csv", "annotation, .csv or .pkl")
    train_exclusions: str = option("", "excluded timestamps of the training set; empty: none")
    val_exclusions: str = option(
        "annotations/ava_val_excluded_timestamps_v2.1.csv", "excluded timestamps; empty: none"
    )
    image_size: int = option(
        400, "clips are resized to a square of this side, aspect not kept", 16, 2048, 1
    )
    fps: int = option(12, "frames taken from each second", 1, 240, 1)
    first_second: int = option(
        902, "first key frame tested; -1: the first with frames", -1, 1_000_000, 1
    )
    last_second: int = option(
        1798, "last key frame tested; -1: the last with frames", -1, 1_000_000, 1
    )
    proposals: str = option("34", "grid of 34, 59, 84, 109 or 11 boxes, or a CSV file of boxes")
    proposal_threshold: float = option(
        0.8, "boxes of a proposal file are kept above this score", 0, 1
    )
    color: bool = option(True, "augment: brightness, contrast, saturation, hue, channel order")
    crop: bool = option(True, "augment: SSD's IoU-constrained random crop")
    flip: bool = option(True, "augment: horizontal flip")
    erase: bool = option(True, "augment: random erasing inside each person's box")
    workers: int = option(4, "loader processes of each training process", 0, 256, 1)
    batch_timeout: int = option(
        600,
        "seconds to wait for one batch before its samples are named and the run ends; 0: none",
        0,
        1_000_000,
        1,
    )
    max_unreadable: int = option(
        100, "unreadable training frames replaced by their neighbours", 0, MOST, 1
    )


@dataclass
class TrainConfig:
    """One training run."""

    name: str = option("", "name of the run; empty: the configuration file's")
    output: str = option("runs", "folder of all runs; this one's is <output>/<name>")
    task: Literal["cls", "step"] = option("step", "classification pre-training, or detection")
    init: str = option("", "checkpoint to start from: the cls stage's, or one of the release")
    kinetics: str = option("", "Kinetics I3D state dict to start the backbone from")
    seed: int = option(0, "seed of everything drawn at random", 0, 2**63 - 1, 1)
    batch_size: int = option(8, "clips per iteration, over all processes", 1, 65_536, 1)
    epochs: int = option(14, "passes over the training key frames", 0, 1_000_000, 1)
    iterations: int = option(0, "iterations in all; 0: those of the epochs", 0, MOST, 1)
    det_lr: float = option(7.5e-4, "rate of layers that are new", 0)
    det_lr0: float = option(1.5e-4, "rate of the backbone's tail (Mixed_5) in heads and context", 0)
    base_lr: float = option(7.5e-5, "rate of the backbone; /2 in mixed_3, /4 in conv 2, /8 in 1", 0)
    base_batch_size: int = option(
        8,
        "the rates hold for this batch_size and scale with it; 0: they hold for any",
        0,
        65_536,
        1,
    )
    weight_decay: float = option(1e-7, "decay of weights; biases have none and twice the rate", 0)
    warmup_iterations: int = option(
        1000, "linear warm-up from warmup_factor, then one cosine", 0, MOST, 1
    )
    warmup_factor: float = option(0.1, "first rate as a share of the full one", 0, 1)
    thresholds: list[float] = option(
        [0.2, 0.35, 0.5], "IoU of a positive at each step, rising", 0, 1
    )
    max_positives: int = option(
        5, "positives per clip and step, at least one per person", 1, 100_000, 1
    )
    negatives_per_positive: int = option(2, "negatives per positive", 0, 100_000, 1)
    max_candidates: int = option(300, "candidate tubes per clip a step samples from", 1, 100_000, 1)
    hard_sampling: bool = option(True, "draw negatives by score; false: uniformly (ablation)")
    location_weight: float = option(5.0, "weight of the box loss", 0)
    neighbor_weight: float = option(1.0, "weight of the anticipated boxes' loss", 0)
    precision: Literal["fp32", "fp16", "bf16"] = option("fp32", "of the network's arithmetic")
    amp_backend: Literal["torch", "apex"] = option("torch", "apex: NVIDIA's, for fp16 only")
    checkpoint_backbone: bool = option(False, "compute the backbone twice to save memory")
    deterministic: bool = option(False, "the same bits each time on a CPU; on a GPU, warnings")
    validate_every: int = option(
        1, "epochs between validations; 0: after the last only", 0, MOST, 1
    )
    profile: bool = option(False, "print where the time of an iteration goes, after each epoch")
    log_every: int = option(20, "iterations between lines of the log", 1, MOST, 1)
    save_every: int = option(
        1000, "iterations between checkpoints within an epoch; 0: none", 0, MOST, 1
    )
    keep_checkpoints: int = option(
        3, "newest checkpoints that are kept, beside the best", 1, MOST, 1
    )
    peer_timeout: int = option(
        120,
        "seconds without a sign of life from another process before the others end; 0: none",
        0,
        1_000_000,
        1,
    )
    resume: bool = option(True, "go on from the run's latest checkpoint, where there is one")


@dataclass
class TestConfig:
    """From a step's output to detections, and their evaluation."""

    score_threshold: float = option(0.01, "class scores at most this are not written", 0, 1)
    nms_threshold: float = option(0.4, "IoU above which the lower score of a class goes", 0, 1)
    max_detections: int = option(
        300, "best detections written per key frame, over all classes", 1, 1_000_000, 1
    )
    test_batch_size: int = option(4, "clips per forward pass", 1, 4096, 1)
    test_precision: Literal["fp32", "fp16", "bf16"] = option("fp32", "of test.py's arithmetic")
    protocol: Literal["2018", "2020"] = option("2018", "state of the official AVA evaluation")


@dataclass
class Config:
    """A resolved configuration: every option has a value."""

    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    test: TestConfig = field(default_factory=TestConfig)

    def __post_init__(self) -> None:
        check_config(self)

    def to_dict(self) -> dict[str, dict[str, Any]]:
        return dataclasses.asdict(self)

    def save(self, path: str | Path) -> None:
        """Write the resolved configuration as YAML that `load_config` reads back."""
        write_whole(path, yaml.safe_dump(self.to_dict(), sort_keys=False))


def sections() -> dict[str, type]:
    """The sections by name, in the order of `Config`."""
    return typing.get_type_hints(Config)


def option_fields() -> dict[str, tuple[str, dataclasses.Field]]:
    """Every option: name to its section and field."""
    return {f.name: (name, f) for name, cls in sections().items() for f in dataclasses.fields(cls)}


def load_config(
    path: str | Path | None = None,
    overrides: typing.Sequence[str] = (),
    base: Config | None = None,
) -> Config:
    """Read a YAML file and apply `key=value` overrides to the defaults, or to `base`.

    Raises `ValueError` naming the file (or the override) and the key for an unknown key, with the
    nearest known one, and for a value of the wrong type or out of range.
    """
    values: dict[str, dict[str, Any]] = {name: {} for name in sections()}
    if base is not None:
        values = base.to_dict()
    if path is not None:
        _merge_file(values, Path(path))
    for override in overrides:
        _merge_override(values, override)
    config = config_from_dict(values, source=str(path or "the configuration"))
    if not config.train.name and path is not None:
        config.train.name = Path(path).stem
    return config


def config_from_dict(values: Mapping[str, Mapping[Any, Any]], source: str) -> Config:
    """Build a `Config` from nested values, checking every key and type; `source` is for errors."""
    built = {}
    for section, cls in sections().items():
        hints, options = typing.get_type_hints(cls), values.get(section, {})
        for key in options:
            _known(key, section, source)
        built[section] = cls(
            **{
                key: _checked(key, value, hints[key], f"{source}: {section}.{key}")
                for key, value in options.items()
            }
        )
    try:
        return Config(**built)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None


def _checked(name: str, value: Any, hint: Any, where: str) -> Any:
    """`value` as the option's type and within its range."""
    value = coerce(value, hint, where)
    check_range(value, option_fields()[name][1].metadata["range"], where)
    return value


def _merge_file(values: dict[str, dict[str, Any]], path: Path) -> None:
    """Read `path` into `values`, naming the file in every error."""
    content = parse_yaml(read_text(path, WHAT, LARGEST_FILE), path, WHAT)
    if content is None:
        return
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected sections {', '.join(values)}, got {shown(content)}")
    for section, options in content.items():
        if not isinstance(section, str) or section not in values:
            hint = _closest(shown(section), list(values))
            raise ValueError(f"{path}: unknown section {shown(section)}{hint}")
        if options is None:
            continue
        if not isinstance(options, dict):
            raise ValueError(f"{path}: section {section} must hold options, got {shown(options)}")
        hints = typing.get_type_hints(sections()[section])
        for key, value in options.items():
            name = _known(key, section, str(path))
            where = f"{path}: {section}.{name}"
            values[section][name] = _checked(name, value, hints[name], where)


def _merge_override(values: dict[str, dict[str, Any]], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals:
        raise ValueError(f"expected key=value, got {shown(override)}")
    section, dot, name = key.rpartition(".")
    if dot and section not in values:
        raise ValueError(
            f"{shown(override)}: unknown section {shown(section)}{_closest(section, list(values))}"
        )
    name = _known(name, section, shown(override))
    section = option_fields()[name][0]
    hint = typing.get_type_hints(sections()[section])[name]
    if hint is str:
        value: Any = text
    elif len(text) > LONGEST_TEXT:
        raise ValueError(f"{section}.{name}: expected {type_name(hint)}, got {shown(text)}")
    else:
        value = parse_yaml(text, f"{section}.{name}={shown(text)}", f"value for {type_name(hint)}")
    values[section][name] = _checked(name, value, hint, f"{section}.{name}")


# What is often meant by a word that is no option.
_MEANT = {
    **dict.fromkeys(
        ("lr", "learning_rate", "rate", "lr0"),
        "there are three learning rates: train.det_lr of layers that are new, train.det_lr0 of the "
        "backbone's tail in heads and context, train.base_lr of the backbone",
    ),
    **dict.fromkeys(
        ("conf", "confidence", "conf_thresh", "conf-thresh", "score", "threshold"),
        "the lowest score that the demo shows is demo.py's --conf-thresh; test.score_threshold is "
        "the lowest that is written and judged",
    ),
    **dict.fromkeys(
        ("iou", "nms"), "test.nms_threshold is the IoU above which boxes of a class are merged"
    ),
    **dict.fromkeys(
        ("data_root", "dataset_root", "data-root"), "the dataset's folder is data.root"
    ),
    **dict.fromkeys(("device", "gpu", "gpus", "cuda"), "the device is the option --device"),
    **dict.fromkeys(("fp16", "amp", "half"), "the arithmetic is train.precision, for example fp16"),
    **dict.fromkeys(
        ("weights", "pretrained", "checkpoint"),
        "training starts from train.init (the cls stage or a released checkpoint) or "
        "train.kinetics; test.py and demo.py take --checkpoint",
    ),
}


def _known(key: Any, section: str, source: str) -> str:
    """`key` if it is an option (of `section`, where one is given); else an error."""
    options = option_fields()
    if isinstance(key, str) and key in options and (not section or options[key][0] == section):
        return key
    name = shown(key).strip("'")
    raise ValueError(
        f"{source}: unknown option {(section + '.') if section else ''}{name}; {_meant(name)}"
    )


def _meant(key: str) -> str:
    """What a reader of `--help` may have meant by `key`."""
    if key.lower() in _MEANT:
        return _MEANT[key.lower()]
    options = option_fields()
    found = difflib.get_close_matches(key, list(options), n=1, cutoff=0.5)
    if not found:
        return "--help lists all options"
    return f"did you mean {options[found[0]][0]}.{found[0]}?"


def _closest(word: str, known: list[str]) -> str:
    found = difflib.get_close_matches(word[:100], known, n=1, cutoff=0.0)
    return f"; did you mean {found[0]}?"


def check_config(config: Config) -> None:
    """Raise `ValueError`, naming the option, for what no run could work with."""
    for name, (section, field_) in option_fields().items():
        value = getattr(getattr(config, section), name)
        check_range(value, field_.metadata["range"], f"{section}.{name}")
    _check_data(config.data)
    model, train = config.model, config.train
    _check_head(model)
    model, train = config.model, config.train
    if train.task == "step" and len(train.thresholds) < model.steps:
        raise ValueError(
            f"train.thresholds: expected one per step, {model.steps}, got {train.thresholds}"
        )
    if train.task == "cls" and (model.steps != 1 or model.local_branch):
        raise ValueError(
            "train.task: cls trains one head without the local branch: expected model.steps=1 and "
            f"model.local_branch=false, got {model.steps} and {str(model.local_branch).lower()}"
        )
    if train.task == "step" and not model.local_branch:
        raise ValueError("train.task: step needs model.local_branch=true, got false")
    if train.amp_backend == "apex" and train.precision != "fp16":
        raise ValueError(
            f"train.amp_backend: apex trains in fp16, expected train.precision=fp16, got "
            f"{train.precision}"
        )


def _check_data(data: DataConfig) -> None:
    if 0 <= data.last_second < data.first_second:
        raise ValueError(
            f"data.last_second: expected data.first_second, {data.first_second}, or more, got "
            f"{data.last_second}"
        )
    if not is_grid(data.proposals) and Path(data.proposals).suffix.lower() not in (".csv", ".txt"):
        raise ValueError(
            f"data.proposals: expected a grid of {', '.join(map(str, sorted(PRESETS)))} boxes, or "
            f"a CSV file of boxes, got {shown(data.proposals)}"
        )


def _check_head(model: ModelConfig) -> None:
    """Refuse what is in range by itself and together makes a layer that no machine holds."""
    weights = model.fc_dim * model.pool_size**2 * max(model.num_classes, 1)
    if weights > LARGEST_LAYER:
        raise ValueError(
            f"model.fc_dim, pool_size, num_classes: expected a classifier of at most "
            f"{LARGEST_LAYER:,} weights, got {model.fc_dim} x {model.pool_size}^2 x "
            f"{model.num_classes}"
        )


def describe_options(only: typing.Collection[str] = ()) -> str:
    """Every option (of the sections `only`) with type, default and meaning, for `--help`."""
    lines = []
    for section, cls in sections().items():
        if only and section not in only:
            continue
        lines.append(f"\n{section}: {(cls.__doc__ or '').splitlines()[0]}")
        defaults, hints = cls(), typing.get_type_hints(cls)
        for f in dataclasses.fields(cls):
            default = yaml.safe_dump(getattr(defaults, f.name), default_flow_style=True)
            default = default.removesuffix("\n").removesuffix("\n...")
            limits = f", {f.metadata['range']}" if f.metadata["range"] else ""
            lines.append(f"  {section}.{f.name}={default}  ({type_name(hints[f.name])}{limits})")
            lines.append(f"      {f.metadata['help']}")
    return "\n".join(lines)
