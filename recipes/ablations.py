"""The paper's ablations on UCF101 (STEP, section 4.2) as data: which runs make which table.

A variant is what its options change of the base configuration; the same options are the same run,
whichever table asks for it. What a table shows beside frame-mAP is in its `columns`.
"""

from __future__ import annotations

from dataclasses import dataclass

INPUTS = ("rgb", "flow", "early")


@dataclass(frozen=True)
class Variant:
    """A row of a table.

    Attributes:
        label: Of the row.
        members: The runs that make it, each as its options; several are fused.
        fusion: How they are fused; empty: one run.
    """

    label: str
    members: tuple[tuple[str, ...], ...]
    fusion: str = ""


@dataclass(frozen=True)
class Ablation:
    """A table, and the picture that goes with it.

    Attributes:
        title: Names the table, figure or section of the paper.
        plot: "steps" draws each row's frame-mAP by step; "bars" draws the last step's frame-mAP;
            "speed" draws it against frames per second; "overlaps" draws how well each step's boxes
            cover the annotated ones.
    """

    title: str
    variants: tuple[Variant, ...]
    plot: str = "bars"


def _single(label: str, *options: str) -> Variant:
    return Variant(label, (options,))


def _fused(label: str, fusion: str, *inputs: str) -> Variant:
    return Variant(label, tuple((f"inputs={name}",) for name in inputs), fusion)


BASE = _single("base")

ABLATIONS = {
    "steps": Ablation(
        "Number of steps (Table 1a)",
        (
            _single("S = 1", "steps=1"),  # there is nothing to extend
            *(
                _single(f"S = {s}, no extension", f"steps={s}", "schedule=spatial")
                for s in (2, 3, 4)
            ),
            _single("S = 2", "steps=2"),
            _single("S = 3", "steps=3"),
            _single("S = 4", "steps=4"),
        ),
        "steps",
    ),
    "extension": Ablation(
        "Extension in time (Figure 5)",
        (
            _single("none", "extension=none"),
            _single("extrapolation", "extension=extrapolate"),
            _single("anticipation", "extension=predict"),
            _single("mean box", "extension=mean"),
            _single("30 frames at once", "schedule=long"),
        ),
        "steps",
    ),
    "fusion": Ablation(
        "Fusion of RGB and flow (Table 1b)",
        (
            _single("RGB", "inputs=rgb"),
            _single("flow", "inputs=flow"),
            _single("early", "inputs=early"),
            _fused("late, mean-shared", "mean-shared", "rgb", "flow"),
            _fused("late, mean-index", "mean-index", "rgb", "flow"),
            _fused("late, union", "union", "rgb", "flow"),
            _fused("late, boost", "boost", "rgb", "flow"),
            _fused("hybrid", "hybrid", "rgb", "flow", "early"),
            _fused("hybrid, union", "union", "rgb", "flow", "early"),
        ),
    ),
    "context": Ablation(
        "Scene context",
        (_single("with context", "context=true"), _single("without", "context=false")),
    ),
    "sampling": Ablation(
        "Hard-aware sampling",
        (_single("by score", "hard_sampling=true"), _single("uniform", "hard_sampling=false")),
    ),
    "thresholds": Ablation(
        "Overlap of positives at each step",
        (
            _single("0.2, 0.35, 0.5", "thresholds=[0.2,0.35,0.5]"),
            _single("0.2 throughout", "thresholds=[0.2]"),
        ),
        "steps",
    ),
    "proposals": Ablation(
        "Number of proposals, and speed (Figure 6)",
        tuple(_single(str(count), f"proposals={count}") for count in (1, 11, 34, 59, 109)),
        "speed",
    ),
    "overlaps": Ablation(
        "How well each step's boxes cover the actors (Figure 4)", (BASE,), "overlaps"
    ),
}
"""Every ablation by the name that `scripts/ablate.py` takes."""


def run_name(options: tuple[str, ...]) -> str:
    """Return the name of the run with these options: the same for the same ones."""
    kept = sorted(option for option in options if option != "inputs=rgb")
    if not kept:
        return "base"
    text = "_".join(option.replace("=", "-") for option in kept)
    return "".join(c if c.isalnum() or c in "-_." else "" for c in text)
