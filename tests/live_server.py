"""A live stream on this machine: a video sent over HTTP as fast as it is shown, and broken off."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import av
import numpy as np


def encode_parts(images: Sequence[np.ndarray], fps: int, parts: int) -> list[list[bytes]]:
    """Encode RGB images as MPEG transport streams, one for each of `parts` equal spans.

    Returns:
        For each part its pieces, one a frame, in order of time.
    """
    length = len(images) // parts
    return [_encode(images[i * length : (i + 1) * length], fps) for i in range(parts)]


def _encode(images: Sequence[np.ndarray], fps: int) -> list[bytes]:
    buffer = io.BytesIO()
    pieces, done = [], 0
    with av.open(buffer, "w", format="mpegts") as container:
        stream = container.add_stream("mpeg2video", rate=fps)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt, stream.max_b_frames = "yuv420p", 0
        stream.bit_rate = 4_000_000
        for image in [*images, None]:
            frame = None if image is None else av.VideoFrame.from_ndarray(image, format="rgb24")
            for packet in stream.encode(frame):
                container.mux(packet)
            buffer.seek(done)
            pieces.append(buffer.read())
            done = buffer.tell()
    buffer.seek(done)
    pieces[-1] += buffer.read()
    return pieces


class LiveServer:
    """Serves the parts one after another, one for each connection; then refuses.

    Attributes:
        address: Of the stream.
        sent: Frames sent.
    """

    def __init__(self, parts: list[list[bytes]], fps: float) -> None:
        self.sent = 0
        coming = iter(parts)
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                part = next(coming, None)
                if part is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Type", "video/mp2t")
                self.end_headers()
                began = time.monotonic()
                for number, piece in enumerate(part):
                    time.sleep(max(0.0, began + number / fps - time.monotonic()))
                    try:
                        self.wfile.write(piece)
                    except OSError:
                        return
                    server.sent += 1

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}/live.ts"
        Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def read_images(path: Path, count: int) -> list[np.ndarray]:
    """Decode the first frames of a video, repeated until there are `count`."""
    with av.open(str(path)) as container:
        images = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return [images[i % len(images)] for i in range(count)]
