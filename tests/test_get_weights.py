"""scripts/get_weights.py: local files and links, from a server on this machine."""

import hashlib
import sys
import threading
import types
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from models import build_detector
from tests.entries import Script, write_checkpoint
from utils.config.step import ModelConfig

SCRIPT = "scripts/get_weights"


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder; `/cut` promises more than it sends."""

    def log_message(self, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.path == "/cut":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"PK")
        else:
            super().do_GET()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    folder = tmp_path / "served"
    folder.mkdir()
    handler: type[BaseHTTPRequestHandler] = partial(Quiet, directory=str(folder))  # type: ignore
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", folder
        server.shutdown()


def test_a_file_is_checked_copied_and_named(script: Script, tmp_path: Path) -> None:
    source = write_checkpoint(tmp_path / "mine.pt")
    outcome = script(source, "--folder", tmp_path / "to", "--to", "other.pt")
    assert outcome.code == 0, outcome.err
    place = tmp_path / "to/other.pt"
    assert place.read_bytes() == source.read_bytes()
    assert hashlib.sha256(source.read_bytes()).hexdigest() in outcome.out
    assert f"{place}: STEP detector of ours" in outcome.out
    assert f"demo.py --checkpoint {place}" in outcome.out
    again = script.refuses(source, "--folder", tmp_path / "to", "--to", "other.pt")
    assert "is there already; --force replaces it" in again
    assert script(source, "--folder", tmp_path / "to", "--to", "other.pt", "--force").code == 0
    assert "would overwrite the input" in script.refuses(
        source, "--folder", tmp_path, "--to", "mine.pt", "--force"
    )


def test_kinetics_weights_are_recognised(script: Script, tmp_path: Path) -> None:
    detector = build_detector(ModelConfig(num_classes=1, steps=1, fc_dim=8, local_dim=16))
    state = detector.backbone.state_dict() | detector.heads[0].tail.state_dict()
    torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}}, tmp_path / "k.pth")
    outcome = script(tmp_path / "k.pth", "--folder", tmp_path / "to")
    assert outcome.code == 0, outcome.err
    assert "Kinetics I3D state dict" in outcome.out
    assert f"kinetics={tmp_path / 'to/i3d_kinetics.pth'}" in outcome.out


def test_a_link_is_fetched(script: Script, tmp_path: Path, server: tuple[str, Path]) -> None:
    link, folder = server
    source = write_checkpoint(folder / "cls.pt", task="cls")
    outcome = script(f"{link}/cls.pt?x=1", "--folder", tmp_path / "to")
    assert outcome.code == 0, outcome.err
    assert (tmp_path / "to/cls.pt").read_bytes() == source.read_bytes()
    assert "init=" in outcome.out


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{link}/absent.pt", "cannot be fetched: File not found"),
        ("{link}/cut", "cannot be fetched: cut short after 2 of 1000 bytes"),
        ("{link}/page.html", "/page.html: "),
        ("http://127.0.0.1:1/x.pt", "cannot be fetched: "),
        ("http://[/x.pt", "http://[/x.pt"),
        ("ftp://127.0.0.1/x.pt", "expected a link that begins with http"),
        ("file:///etc/passwd", "expected a link that begins with http"),
        ("absent.pt", "absent.pt: no such file of weights"),
        ("https://drive.google.com/open?id=0123456789", "need the package gdown: pip install"),
        ("https://drive.google.com/drive/folders/x", "expected the link of one file"),
    ],
)
def test_what_is_no_weights_is_refused(
    script: Script,
    tmp_path: Path,
    server: tuple[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    source: str,
    said: str,
) -> None:
    monkeypatch.setitem(sys.modules, "gdown", None)
    (server[1] / "page.html").write_text("<html>quota exceeded</html>")
    line = script.refuses(source.format(link=server[0]), "--folder", tmp_path / "to")
    assert said in line
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize(
    "link",
    [
        "https://drive.google.com/open?id=0123-56789",
        "https://drive.google.com/file/d/0123-56789/view?usp=sharing",
    ],
)
def test_drive_links_go_through_gdown(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, link: str
) -> None:
    def download(id: str, output: str) -> str:
        assert id == "0123-56789"
        return str(write_checkpoint(Path(output)))

    monkeypatch.setitem(sys.modules, "gdown", types.SimpleNamespace(download=download))
    outcome = script(link, "--folder", tmp_path / "to", "--to", "a.pt")
    assert outcome.code == 0, outcome.err
    assert (tmp_path / "to/a.pt").is_file()
