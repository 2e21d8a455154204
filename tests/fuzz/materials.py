"""Valid input files, small, of every kind that the commands read."""

from __future__ import annotations

import argparse
import json
import pickle
import zipfile
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import torch

from data.datasets.thumos14 import CLASSES
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


def write_film(path: Path, codec: str = "mpeg4", sound: str = "", count: int = 24) -> None:
    """A film of 12 frames per second, with sound by the codec `sound` if that is given."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=12)
        stream.width, stream.height, stream.pix_fmt = 80, 48, "yuv420p"
        audio = container.add_stream(sound, rate=8000, layout="mono") if sound else None
        for index in range(count):
            image = np.full((48, 80, 3), 10 + 9 * index, dtype=np.uint8)
            image[8:24, 4 + index : 24 + index] = 250 - 9 * index
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 12)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if audio is not None:
            tone = (8000 * np.sin(np.arange(8000 * count // 12) / 3)).astype(np.int16)[None]
            samples = av.AudioFrame.from_ndarray(tone, format="s16", layout="mono")
            samples.sample_rate, samples.pts = 8000, 0
            container.mux(audio.encode(samples))
            container.mux(audio.encode())


FILMS = {
    "film.mp4": ("mpeg4", ""),
    "h264.mp4": ("h264", ""),
    "film.mkv": ("mpeg4", ""),
    "film.avi": ("mpeg4", ""),
    "film.ts": ("mpeg2video", ""),
    "film.webm": ("vp8", ""),
    "raw.h264": ("h264", ""),
    "sound.mp4": ("mpeg4", "aac"),
    "sound.mkv": ("mpeg4", "flac"),
}
"""Video's codec and sound's of each film."""


def films(folder: Path) -> None:
    """One film in several containers, and frames in a folder."""
    for name, (codec, sound) in FILMS.items():
        write_film(folder / name, codec if codec in av.codecs_available else "mpeg4", sound)
    write_frames(folder / "play")


def benchmarks(folder: Path) -> None:
    """Annotations and results of UCF101-24, THUMOS14 and ActivityNet, and a list of proposals."""
    header, box = "video,frame,x1,y1,x2,y2,label", "10,10,50,60"
    rows = [(video, f) for video in ("a", "b") for f in (1, 2, 3)]
    write_lines(
        folder / "tubes.csv", [f"{header},tube", *(f"{v},{f},{box},run,1" for v, f in rows)]
    )
    scored = [f"{v},{f},{box},run,0.{f}" for v, f in rows]
    write_lines(folder / "frames.csv", [f"{header},score", *scored])
    found = [f"{v},{f},{box},run,1,0.7" for v, f in rows]
    write_lines(folder / "found.csv", [f"{header},tube,score", *found])
    write_lines(folder / "videos.txt", ["a.avi 1", "b"])
    segments = [("v1", 1.0, 2.5, "Diving", 0.9), ("v2", 3.0, 7.5, "Diving", 0.4)]
    cells = [",".join(map(str, row)) for row in segments]
    write_lines(folder / "predicted.csv", ["video,start,end,label,score", *cells])
    cells = [",".join(map(str, row[:4])) for row in segments]
    write_lines(folder / "segments.csv", ["video,start,end,label", *cells])
    predicted = {
        v: [{"segment": [start, end], "label": name, "score": score}]
        for v, start, end, name, score in segments
    }
    (folder / "predicted.json").write_text(json.dumps({"results": predicted}))
    truth = {
        v: {"subset": "validation", "annotations": [{"segment": [start, end], "label": name}]}
        for v, start, end, name, _ in segments
    }
    (folder / "segments.json").write_text(json.dumps({"database": truth}))
    _datasets(folder)


def _datasets(folder: Path) -> None:
    for name in CLASSES:  # a folder that lacks the file of a class is refused
        write_lines(folder / f"temporal_annotations_test/{name}_test.txt", ["v2 8.0 9.0"])
    write_lines(folder / "temporal_annotations_test/Diving_test.txt", ["v1  1.0 2.0", "v2 3.5 7"])
    write_lines(folder / "temporal_annotations_test/LongJump_test.txt", ["v1 4.0 5.0"])
    write_lines(folder / "test_durations.txt", ["v1.mp4", "9.5", "v2.mp4", "12.0"])
    write_lines(folder / "test_avoid_videos.txt", ["v2 LongJump"])
    boxes = np.array([[10, 20, 30, 40]] * 5, np.uint8)
    tube = {"label": 3, "sf": 0, "ef": 5, "boxes": boxes}
    video = {"numf": 7, "label": 3, "annotations": [tube]}
    videos = {"Biking/a": video, "Biking/b": video}
    (folder / "tubes.pkl").write_bytes(pickle.dumps(videos))
    write_lines(folder / "testlist.txt", ["Biking/a.avi 1", "Biking/b.avi 1"])
    group = ["v1", "1", "1", "1", "3 0.1 0.5", "2", "3 0.8 0.9 0.1 0.4", "0 0.1 0.2 0.6 0.9"]
    write_lines(folder / "proposals.txt", ["# 1", *group, "# 2", "v2", *group[1:]])
