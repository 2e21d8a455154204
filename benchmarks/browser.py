"""A headless Chromium, driven over the DevTools protocol through two pipes.

Needs bash and a Chromium or Chrome on PATH; nothing is installed and no port is opened.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_chromium() -> str | None:
    """Return the browser's program, `None` where there is none."""
    return next((found for found in map(shutil.which, NAMES) if found), None)


class Browser:
    """One page of a running browser.

    Attributes:
        problems: Errors and warnings on the page's console, exceptions, and refused requests.
        process_id: Of the browser.
    """

    process_id = 0

    def __init__(self, reading: int, writing: int, limit: float = 180) -> None:
        """Attach to a new page.

        Args:
            reading: Descriptor from which the browser's messages come.
            writing: Descriptor to which commands go.
            limit: Seconds that an answer may take.
        """
        self._reading, self._writing, self.limit = reading, writing, limit
        self._number, self._session, self._rest = 0, "", b""
        self.problems: list[str] = []
        self._loaded = False
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result.

        Raises:
            RuntimeError: The browser refuses it.
            TimeoutError: There is no answer within the limit.
        """
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._writing, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]

    def open(self, address: str) -> None:
        """Open a page and wait until it is loaded."""
        self._loaded = False
        self.call("Page.navigate", url=address)
        while not self._loaded:
            self._next()

    def run(self, script: str) -> Any:
        """Return the value of a JavaScript expression, awaited if it is a promise."""
        answer = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait(self, condition: str) -> None:
        """Wait until a JavaScript expression is true."""
        end = time.monotonic() + self.limit
        while not self.run(f"Boolean({condition})"):
            if time.monotonic() > end:
                raise TimeoutError(f"not true within {self.limit:g} s: {condition}")
            time.sleep(0.02)

    def press(self, key: str, text: str = "") -> None:
        """Press and release a key, as a user does."""
        down: dict[str, Any] = {"type": "keyDown", "key": key}
        if text:
            down["text"] = text
        self.call("Input.dispatchKeyEvent", **down)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def click(self, x: float, y: float) -> None:
        """Click at a place of the window, in CSS pixels."""
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def screenshot(self, path: Path) -> None:
        """Write what the window shows as PNG."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def _next(self) -> dict[str, Any]:
        """The next message; notes what it says of the page."""
        end = time.monotonic() + self.limit
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._reading], [], [], max(end - time.monotonic(), 0))
            if not ready:
                raise TimeoutError(f"the browser says nothing for {self.limit:g} s")
            content = os.read(self._reading, 2**20)
            if not content:
                raise RuntimeError("the browser has ended")
            self._rest += content
        text, self._rest = self._rest.split(b"\0", 1)
        message = json.loads(text)
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _note(self, method: str, parameters: dict[str, Any]) -> None:
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Runtime.exceptionThrown":
            self.problems.append(json.dumps(parameters["exceptionDetails"])[:500])
        elif method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning"):
            self.problems.append(json.dumps(parameters["args"])[:500])
        elif method == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
            self.problems.append(json.dumps(parameters["entry"])[:500])


@contextmanager
def open_browser(
    program: str, folder: Path, width: int = 1280, height: int = 900
) -> Iterator[Browser]:
    """Start a browser with a window of `width x height` CSS pixels; end it with the block.

    Args:
        program: As `find_chromium` returns it.
        folder: For its profile.
        width: Of the window.
        height: Of the window.
    """
    (commands, writing), (reading, answers) = os.pipe(), os.pipe()
    options = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--mute-audio",
        "--no-first-run",
        "--disable-dev-shm-usage",
        "--remote-debugging-pipe",
        f"--user-data-dir={folder}",
        f"--window-size={width},{height}",
    ]
    start = f'exec "$@" 3<&{commands} 4>&{answers}'
    process = subprocess.Popen(
        ["bash", "-c", start, "bash", program, *options],
        pass_fds=(commands, answers),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(commands)
    os.close(answers)
    try:
        browser = Browser(reading, writing)
        browser.process_id = process.pid
        browser.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        yield browser
    finally:
        process.terminate()
        process.wait()
        os.close(reading)
        os.close(writing)
