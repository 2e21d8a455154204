"""A page on this machine that shows the newest picture of a stream, as an MJPEG stream."""

from __future__ import annotations

import html
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

import cv2
import numpy as np

BOUNDARY = "picture"
JPEG_QUALITY = 80
LONGEST_PAUSE = 0.05
"""Seconds between two looks for a newer picture."""

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>body{{margin:0;background:#111;color:#eee;font:16px sans-serif}}
h1{{font-size:16px;margin:8px}}
img{{max-width:100%;max-height:92vh;display:block;margin:auto}}</style>
<h1>{title}</h1><img src="/stream" alt="the stream with what is detected in it"></html>"""

Newest = Callable[[], tuple[int, np.ndarray] | None]
"""Gives the newest picture `[H, W, 3]` uint8 RGB and its number; `None` while there is none."""


class LivePage:
    """The page; it can be reached from this machine only.

    Attributes:
        address: Of the page.
    """

    def __init__(self, port: int, title: str, newest: Newest) -> None:
        """Begin to serve.

        Args:
            port: 0 takes a free one.
            title: Stands above the picture.
            newest: Is asked from the threads of those who watch, and by nobody else: a picture
                that nobody watches is not drawn.

        Raises:
            OSError: Naming the port that is taken.
        """
        self._left = Event()
        page = PAGE.format(title=html.escape(title)).encode()
        left = self._left

        class Handler(BaseHTTPRequestHandler):
            """Answers a browser."""

            def do_GET(self) -> None:
                if self.path == "/stream":
                    _send_pictures(self, newest, left)
                elif self.path == "/":
                    self.send_response(200)
                    self.send_header("Content-Type", "text/html; charset=utf-8")
                    self.end_headers()
                    self.wfile.write(page)
                else:
                    self.send_error(404)

            def log_message(self, format: str, *arguments: object) -> None:
                """Say nothing: the standard error is for what is detected."""

        try:
            self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        except OSError as error:
            raise OSError(f"--watch: port {port} cannot be used: {error.strerror}") from None
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}/"
        self._thread = Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._left.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _send_pictures(handler: BaseHTTPRequestHandler, newest: Newest, left: Event) -> None:
    """Send every picture that is the newest when the one before is sent, until nobody watches."""
    handler.send_response(200)
    handler.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={BOUNDARY}")
    handler.send_header("Cache-Control", "no-store")
    handler.end_headers()
    shown = -1
    while not left.is_set():
        found = newest()
        if found is None or found[0] == shown:
            left.wait(LONGEST_PAUSE)
            continue
        shown, image = found
        quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
        done, jpeg = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), quality)
        assert done, f"a JPEG of {image.shape}"
        head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
        try:
            handler.wfile.write(head.encode() + jpeg.tobytes() + b"\r\n")
        except OSError:  # the browser is gone
            return
