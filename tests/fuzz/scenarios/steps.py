"""Commands that lead to a network or use several: fetching weights, overfitting one video."""

from __future__ import annotations

from pathlib import Path

from tests.fuzz import materials
from tests.fuzz.scenario import Scenario


def weights() -> list[Scenario]:
    """get_weights.py with local files."""
    kinds = {"step.pt": True, "cls.pt": True, "released.pth": False, "kinetics.pt": False}
    return [
        Scenario(
            f"weights_{Path(name).stem}",
            materials.checkpoints,
            "scripts/get_weights.py",
            (f"in/{name}", "--folder", "out"),
            {name: "checkpoint"},
            ("--to", "--folder") if name == "step.pt" else (),
            accepts=accepts,
            weight=0.5,
        )
        for name, accepts in kinds.items()
    ]


def overfitting() -> list[Scenario]:
    def build(folder: Path) -> None:
        materials.write_film(folder / "film.mp4")
        rows = ["film,0,0.1,0.1,0.5,0.9,1,0", "film,1,0.2,0.1,0.6,0.9,2,0"]
        materials.write_lines(folder / "film.csv", rows)
        (folder / "classes.csv").write_text(materials.MAPS["csv"])

    small = (
        "iterations=1", "image_size=32", "width=4", "fc_dim=8", "local_dim=16", "pool_size=2",
        "workers=0",
    )  # fmt: skip
    return [
        Scenario(
            "overfit",
            build,
            "scripts/overfit.py",
            ("--video", "in/film.mp4", "--csv", "in/film.csv", "--label-map", "in/classes.csv",
             "--output", "out/o", "--", *small),
            {"film.mp4": "film", "film.csv": "csv", "classes.csv": "csv"},
            ("epochs=", "steps=", "batch_size=", "first_second="),
            weight=0.5,
            limit=25,
        )
    ]  # fmt: skip
