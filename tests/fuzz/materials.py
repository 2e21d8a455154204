"""Valid input files, small, of every kind that the commands read."""

from __future__ import annotations

import argparse
import json
import pickle
import shutil
import zipfile
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import torch

from tests.conversion import META, METADATA, attribute, box, cvat, via3
from tests.entries import write_checkpoint
from tests.test_entry_analyze import write_results
from tests.tiny_ava import write_dataset

MAPS = {
    "pbtxt": "".join(f'item {{\n  name: "action {i}"\n  id: {i}\n}}\n' for i in (1, 2, 3)),
    "yaml": "1: action 1\n2: action 2\n3: action 3\n",
    "csv": "1,action 1\n2,action 2\n3,action 3\n",
}
ROWS = [
    "a,0902,0.100,0.100,0.500,0.900,1,0",
    "a,0902,0.100,0.100,0.500,0.900,2,0",
    "a,0903,0.120,0.100,0.520,0.900,1,0",
    "a,0903,0.500,0.200,0.900,0.800,3,1",
    "a,0904,0.000,0.000,0.600,0.700,1,0",
]
DETECTIONS = [f"{row.rpartition(',')[0]},0.{9 - i}" for i, row in enumerate(ROWS)]
PROPOSALS = [f"a,{s:04d},0.1,0.1,0.6,0.9,0.9{s % 10}" for s in range(902, 905)]


def write_lines(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def evaluation(folder: Path) -> None:
    for kind, text in MAPS.items():
        (folder / f"classes.{kind}").write_text(text)
    write_lines(folder / "truth.csv", ROWS)
    write_lines(folder / "found.csv", DETECTIONS)
    write_lines(folder / "excluded.csv", ["b,0902"])


def dataset(folder: Path) -> None:
    """AVA's layout: one video of three seconds with persons, and what the commands want beside."""
    write_dataset(folder / "data", ROWS, {"a": range(901, 906)})
    annotations = folder / "data/annotations"
    write_lines(annotations / "excluded.csv", ["b,0902"])
    for kind, text in MAPS.items():
        (annotations / f"classes.{kind}").write_text(text)
    write_lines(folder / "data/proposals.csv", PROPOSALS)
    write_pickle(annotations / "train.pkl", annotations / "train.csv")
    (folder / "config.yaml").write_text(
        "data:\n  image_size: 32\n  workers: 0\n  color: true\n  fps: 12\n"
        "train:\n  batch_size: 2\n"
        "  thresholds: [0.2, 0.35, 0.5]\n  det_lr: 0.001\n  name: run\n"
        "test:\n  nms_threshold: 0.4\n"
        "model:\n  backbone: tiny3d\n  width: 4\n  fc_dim: 8\n  local_dim: 16\n  pool_size: 2\n"
    )


def write_pickle(path: Path, source: Path) -> None:
    """The pickle that generate_label.py would write of the annotation `source`."""
    from scripts import generate_label

    generate_label.main([str(source), "-o", str(path)])
    pickle.loads(path.read_bytes())


def conversions(folder: Path) -> None:
    """One file of each annotation tool."""
    cells = [attribute("pose", "sit"), attribute("talk", "true"), attribute("age", 7)]
    shown = [box(k, (20, 10, 60, 90), "".join(cells)) for k in (30, 60)]
    gone = box(75, (20, 10, 60, 90), outside=1)
    track = f'<track id="0" label="person" source="manual">{"".join([*shown, gone])}</track>'
    path = cvat(folder, track, meta=META)
    with zipfile.ZipFile(folder / "cvat.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(path, "annotations.xml")
    path.rename(folder / "cvat.xml")
    via3(folder, METADATA).rename(folder / "via3.json")
    shape = {"name": "rect", "x": 192, "y": 108, "width": 384, "height": 540}
    region = {
        "shape_attributes": shape,
        "region_attributes": {"action": {"walk": True, "talk": False}, "person": "A"},
    }
    image = {"filename": "kitchen_1_000060.jpg", "size": 9, "regions": [region, region]}
    project = {"_via_settings": {}, "_via_attributes": {}, "_via_img_metadata": {"x": image}}
    (folder / "via2.json").write_text(json.dumps(project))
    (folder / "via2.csv").write_text(_via2_csv(region))
    header = "video,second,x1,y1,x2,y2,label,person"
    rows = [f"kitchen.mp4,{s},0.1,0.2,0.3,0.4,{name},A" for s, name in ((3, "walk"), (4, "sit"))]
    write_lines(folder / "table.csv", [header, *rows])
    (folder / "classes.pbtxt").write_text('item {\n  name: "walk"\n  id: 1\n}\n')


def _via2_csv(region: dict) -> str:
    header = "filename,file_size,file_attributes,region_count,region_id,"
    cells = [json.dumps(region[f"{kind}_attributes"]) for kind in ("shape", "region")]
    quoted = ",".join('"' + cell.replace('"', '""') + '"' for cell in cells)
    row = f'd/kitchen_1_000060.jpg,9,"{{}}",1,0,{quoted}'
    return f"{header}region_shape_attributes,region_attributes\n{row}\n"


def results(folder: Path) -> None:
    write_results(folder / "test")
    metrics = json.loads((folder / "test/metrics.json").read_text())
    for name in ("groundtruth", "label_map"):
        metrics[name] = f"in/test/{name}.csv"
    (folder / "test/metrics.json").write_text(json.dumps(metrics))


def checkpoints(folder: Path) -> None:
    """A checkpoint of ours of each stage, one in the release's layout, one of Kinetics'."""
    write_checkpoint(folder / "step.pt", dataset="none")
    write_checkpoint(folder / "cls.pt", task="cls", dataset="none")
    ours = torch.load(folder / "step.pt", weights_only=True)
    head = {
        "global_cls.weight": torch.zeros(3, 40, 1, 1, 1),
        "global_cls.bias": torch.zeros(3),
        "downsample.weight": torch.zeros(8, 16, 1, 1, 1),
        "local_reg.weight": torch.zeros(4, 32),
        "local_conv.0.conv4.weight": torch.zeros(16, 4, 1, 1, 1),
    }
    released = {
        "base_net": {"module.base_model.0.conv3d.weight": torch.zeros(64, 3, 7, 7, 7)},
        "context_net": {"module.i3d_conv_context.1.branch_0.conv3d.weight": torch.zeros(4, 4)},
        "det_net0": {f"module.{name}": value for name, value in head.items()},
        "det_net1": dict(head),
        "cfg": argparse.Namespace(T=3, iterative_mode="temporal", temporal_mode="predict"),
    }
    torch.save(released, folder / "released.pth")
    kinetics = {
        name.removeprefix("backbone."): value
        for name, value in ours["model"].items()
        if name.startswith("backbone.")
    }
    torch.save(kinetics, folder / "kinetics.pt")


def pictures(count: int = 14) -> list[np.ndarray]:
    return [np.full((48, 80, 3), 10 + 15 * i, dtype=np.uint8) for i in range(count)]


def write_frames(folder: Path) -> None:
    folder.mkdir(parents=True)
    for i, image in enumerate(pictures()):
        assert cv2.imwrite(str(folder / f"frame{i + 1:04d}.jpg"), image)


def write_film(path: Path, codec: str = "mpeg4", count: int = 24) -> None:
    """A film of 12 frames per second with sound where the container takes it."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=12)
        stream.width, stream.height, stream.pix_fmt = 80, 48, "yuv420p"
        for index in range(count):
            image = np.full((48, 80, 3), 10 + 9 * index, dtype=np.uint8)
            image[8:24, 4 + index : 24 + index] = 250 - 9 * index
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 12)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


FILMS = {
    "film.mp4": "mpeg4",
    "h264.mp4": "h264",
    "film.mkv": "mpeg4",
    "film.avi": "mpeg4",
    "film.ts": "mpeg2video",
    "film.webm": "vp8",
}


def films(folder: Path) -> None:
    """One film in several containers, and frames in a folder."""
    for name, codec in FILMS.items():
        write_film(folder / name, codec if codec in av.codecs_available else "mpeg4")
    write_frames(folder / "play")


def copied(source: Path, folder: Path) -> None:
    shutil.copytree(source, folder, dirs_exist_ok=True, symlinks=True)
