"""Configuration: typed dataclasses, YAML files, `key=value` overrides, `--help` for every option.

A configuration file holds values only (`configs/`); what it does not set keeps the default below.
Defaults are the paper's AVA setting (STEP, section 4.1, and the release) unless a comment says so.
Option names are unique across sections, so an override may leave the section out:
`train.epochs=3` and `epochs=3` are the same.
"""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from utils.system.outputs import write_whole
from utils.tubes import SCHEDULES


def option(default: Any, help: str) -> Any:
    """A field with its sentence for `--help`."""
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata={"help": help})
    return field(default=default, metadata={"help": help})


@dataclass
class ModelConfig:
    """What the detector is built from; saved in every checkpoint and obeyed when it is loaded."""

    backbone: Literal["i3d", "tiny3d"] = option("i3d", "backbone and its tail in heads and context")
    width: int = option(64, "channels of the backbone's first stage; i3d has 64 only")
    num_classes: int = option(0, "action classes; 0: as many as the label map lists")
    steps: int = option(3, "progressive steps S (paper: 3); the cls stage has 1")
    schedule: Literal["spatial", "temporal", "temporal2"] = option(
        "temporal", "chunks per step: spatial 1,1,1,1; temporal 1,1,3,3; temporal2 1,3,3,5"
    )
    extension: Literal["predict", "extrapolate", "mean"] = option(
        "predict", "how tubes grow in time: location anticipation, a straight line, the mean box"
    )
    clip_steps: int = option(3, "clip length T in feature steps; 3 is one second, cls takes 9")
    context: bool = option(True, "append the scene context branch to the classifier's input")
    local_branch: bool = option(True, "regress boxes; the cls stage does not")
    fc_dim: int = option(256, "channels that each branch flattens for its linear layer")
    local_dim: int = option(1024, "channels of the local branch's bottlenecks")
    pool_mode: Literal["align", "pool"] = option("align", "RoI align or RoI max pooling")
    pool_size: int = option(7, "side of the pooled grid")
    dropout: float = option(0.3, "dropout before the linear layers")
    freeze_stats: bool = option(True, "keep batch norm's running statistics as loaded")
    freeze_affine: bool = option(True, "keep batch norm's scale and shift as loaded")

    @property
    def chunks(self) -> tuple[int, ...]:
        """Chunks of each step."""
        return SCHEDULES[self.schedule][: self.steps]

    @property
    def window_steps(self) -> int:
        """Feature steps of the whole window, `T * max chunks`."""
        return self.clip_steps * max(self.chunks)


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
    image_size: int = option(400, "clips are resized to a square of this side, aspect not kept")
    fps: int = option(12, "frames taken from each second")
    first_second: int = option(902, "first key frame tested; -1: the first with frames")
    last_second: int = option(1798, "last key frame tested; -1: the last with frames")
    proposals: str = option("34", "grid of 34, 59, 84, 109 or 11 boxes, or a CSV file of boxes")
    proposal_threshold: float = option(0.8, "boxes of a proposal file are kept above this score")
    color: bool = option(True, "augment: brightness, contrast, saturation, hue, channel order")
    crop: bool = option(True, "augment: SSD's IoU-constrained random crop")
    flip: bool = option(True, "augment: horizontal flip")
    erase: bool = option(True, "augment: random erasing inside each person's box")
    workers: int = option(4, "loader processes of each training process")
    batch_timeout: int = option(
        600, "seconds to wait for one batch before its samples are named and the run ends; 0: none"
    )
    max_unreadable: int = option(100, "unreadable training frames replaced by their neighbours")


@dataclass
class TrainConfig:
    """One training run."""

    name: str = option("", "name of the run; empty: the configuration file's")
    output: str = option("runs", "folder of all runs; this one's is <output>/<name>")
    task: Literal["cls", "step"] = option("step", "classification pre-training, or detection")
    init: str = option("", "checkpoint to start from: the cls stage's, or one of the release")
    kinetics: str = option("", "Kinetics I3D state dict to start the backbone from")
    seed: int = option(0, "seed of everything drawn at random")
    batch_size: int = option(8, "clips per iteration, over all processes")
    epochs: int = option(14, "passes over the training key frames")
    iterations: int = option(0, "iterations in all; 0: those of the epochs")
    det_lr: float = option(7.5e-4, "rate of layers that are new")
    det_lr0: float = option(1.5e-4, "rate of the backbone's tail (Mixed_5) in heads and context")
    base_lr: float = option(7.5e-5, "rate of the backbone; /2 in mixed_3, /4 in conv 2, /8 in 1")
    base_batch_size: int = option(
        8, "the rates hold for this batch_size and scale with it; 0: they hold for any"
    )
    weight_decay: float = option(1e-7, "decay of weights; biases have none and twice the rate")
    warmup_iterations: int = option(1000, "linear warm-up from warmup_factor, then one cosine")
    warmup_factor: float = option(0.1, "first rate as a share of the full one")
    thresholds: list[float] = option([0.2, 0.35, 0.5], "IoU of a positive at each step, rising")
    max_positives: int = option(5, "positives per clip and step, at least one per person")
    negatives_per_positive: int = option(2, "negatives per positive")
    max_candidates: int = option(300, "candidate tubes per clip a step samples from")
    hard_sampling: bool = option(True, "draw negatives by score; false: uniformly (ablation)")
    location_weight: float = option(5.0, "weight of the box loss")
    neighbor_weight: float = option(1.0, "weight of the anticipated boxes' loss")
    precision: Literal["fp32", "fp16", "bf16"] = option("fp32", "of the network's arithmetic")
    amp_backend: Literal["torch", "apex"] = option("torch", "apex: NVIDIA's, for fp16 only")
    checkpoint_backbone: bool = option(False, "compute the backbone twice to save memory")
    deterministic: bool = option(False, "the same bits each time on a CPU; on a GPU, warnings")
    validate_every: int = option(1, "epochs between validations; 0: after the last only")
    profile: bool = option(False, "print where the time of an iteration goes, after each epoch")
    log_every: int = option(20, "iterations between lines of the log")
    save_every: int = option(1000, "iterations between checkpoints within an epoch; 0: none")
    keep_checkpoints: int = option(3, "newest checkpoints that are kept, beside the best")
    peer_timeout: int = option(
        120, "seconds without a sign of life from another process before the others end; 0: none"
    )
    resume: bool = option(True, "go on from the run's latest checkpoint, where there is one")


@dataclass
class TestConfig:
    """From a step's output to detections, and their evaluation."""

    score_threshold: float = option(0.01, "class scores at most this are not written")
    nms_threshold: float = option(0.4, "IoU above which the lower score of a class goes")
    max_detections: int = option(300, "best detections written per key frame, over all classes")
    test_batch_size: int = option(4, "clips per forward pass")
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
    config = config_from_dict(values, source="the configuration")
    if not config.train.name and path is not None:
        config.train.name = Path(path).stem
    return config


def config_from_dict(values: dict[str, dict[str, Any]], source: str) -> Config:
    """Build a `Config` from nested values, checking every key and type; `source` is for errors."""
    built = {}
    for section, cls in sections().items():
        known = {f.name for f in dataclasses.fields(cls)}
        for key in values.get(section, {}):
            if key not in known:
                raise ValueError(f"{source}: unknown option {section}.{key}{_nearest(key)}")
        hints = typing.get_type_hints(cls)
        built[section] = cls(
            **{
                key: _coerce(value, hints[key], f"{source}: {section}.{key}")
                for key, value in values.get(section, {}).items()
            }
        )
    return Config(**built)


def _merge_file(values: dict[str, dict[str, Any]], path: Path) -> None:
    """Read `path` into `values`, naming the file in every error."""
    if not path.is_file():
        raise ValueError(f"{path}: no such configuration file")
    try:
        content = yaml.safe_load(path.read_text()) or {}
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected sections {', '.join(values)}, got {content!r}")
    for section, options in content.items():
        if section not in values:
            hint = _closest(str(section), list(values))
            raise ValueError(f"{path}: unknown section {section!r}{hint}")
        if not isinstance(options, dict):
            raise ValueError(f"{path}: section {section} must hold options, got {options!r}")
        for key, value in options.items():
            values[section][_known(key, section, str(path))] = value
    config_from_dict(values, source=str(path))


def _merge_override(values: dict[str, dict[str, Any]], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals:
        raise ValueError(f"expected key=value, got {override!r}")
    section, dot, name = key.rpartition(".")
    if dot and section not in values:
        raise ValueError(
            f"{override!r}: unknown section {section!r}{_closest(section, list(values))}"
        )
    name = _known(name, section, repr(override))
    section = option_fields()[name][0]
    hint = typing.get_type_hints(sections()[section])[name]
    value = text if hint is str else yaml.safe_load(text)
    values[section][name] = _coerce(value, hint, repr(override))


def _known(key: str, section: str, source: str) -> str:
    """`key` if it is an option (of `section`, where one is given); else an error."""
    options = option_fields()
    if key not in options or (section and options[key][0] != section):
        raise ValueError(
            f"{source}: unknown option {(section + '.') if section else ''}{key}{_nearest(key)}"
        )
    return key


def _nearest(key: str) -> str:
    """A hint with the full name of the known option nearest to `key`."""
    options = option_fields()
    found = difflib.get_close_matches(str(key), list(options), n=1, cutoff=0.0)
    return f"; did you mean {options[found[0]][0]}.{found[0]}?"


def _closest(word: str, known: list[str]) -> str:
    return f"; did you mean {difflib.get_close_matches(word, known, n=1, cutoff=0.0)[0]}?"


def _coerce(value: Any, hint: Any, where: str) -> Any:
    """`value` as the type of the option; an integer or '1e-4' is accepted for a float."""
    origin = typing.get_origin(hint)
    if origin is Literal:
        if str(value) in typing.get_args(hint):
            return str(value)
        raise ValueError(
            f"{where}: expected one of {', '.join(typing.get_args(hint))}, got {value!r}"
        )
    if origin is list:
        if isinstance(value, list):
            return [_coerce(v, typing.get_args(hint)[0], where) for v in value]
    elif hint is bool or isinstance(value, bool):
        if hint is bool and isinstance(value, bool):
            return value
    elif hint is str:
        return "" if value is None else str(value)
    elif hint is int:
        if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
            return int(value)
    elif hint is float:
        try:
            return float(value)
        except (TypeError, ValueError):
            pass
    name = f"a list of {typing.get_args(hint)[0].__name__}" if origin is list else hint.__name__
    raise ValueError(f"{where}: expected {name}, got {value!r}")


# What each number must satisfy: options to (test, words).
_RANGES: dict[str, tuple[typing.Callable[[Any], bool], str]] = {
    **dict.fromkeys(
        ("width", "clip_steps", "fc_dim", "pool_size", "fps", "batch_size", "test_batch_size",
         "max_detections", "max_positives", "max_candidates", "log_every",
         "keep_checkpoints"),
        (lambda v: v >= 1, "at least 1"),
    ),
    **dict.fromkeys(
        ("workers", "seed", "warmup_iterations", "weight_decay", "validate_every", "num_classes",
         "epochs", "negatives_per_positive", "det_lr", "det_lr0", "base_lr", "location_weight",
         "neighbor_weight", "iterations", "base_batch_size", "save_every", "max_unreadable",
         "batch_timeout", "peer_timeout"),
        (lambda v: v >= 0, "0 or more"),
    ),
    **dict.fromkeys(
        ("nms_threshold", "score_threshold", "proposal_threshold", "warmup_factor"),
        (lambda v: 0 <= v <= 1, "between 0 and 1"),
    ),
    "dropout": (lambda v: 0 <= v < 1, "in [0, 1)"),
    "steps": (lambda v: 1 <= v <= 4, "1 to 4"),
    "local_dim": (lambda v: v >= 4 and v % 4 == 0, "a multiple of 4"),
    "image_size": (lambda v: v >= 16 and v % 16 == 0, "a multiple of 16"),
    "thresholds": (lambda v: all(0 <= t <= 1 for t in v), "numbers between 0 and 1"),
}  # fmt: skip


def check_config(config: Config) -> None:
    """Raise `ValueError`, naming the option, for what no run could work with."""
    for name, (test, words) in _RANGES.items():
        section = option_fields()[name][0]
        value = getattr(getattr(config, section), name)
        if not test(value):
            raise ValueError(f"{section}.{name}: expected {words}, got {value!r}")
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
    if model.backbone == "i3d" and model.width != 64:
        raise ValueError(f"model.width: i3d has 64 channels in its first stage, got {model.width}")


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
            lines.append(f"  {section}.{f.name}={default}  ({_type_name(hints[f.name])})")
            lines.append(f"      {f.metadata['help']}")
    return "\n".join(lines)


def _type_name(hint: Any) -> str:
    if typing.get_origin(hint) is Literal:
        return " | ".join(typing.get_args(hint))
    return str(hint) if isinstance(hint, types.GenericAlias) else hint.__name__
