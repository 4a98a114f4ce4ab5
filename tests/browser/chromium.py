"""Headless Chromium, driven over its DevTools pipe: no driver, no port, no package.

https://chromedevtools.github.io/devtools-protocol/ ; messages are JSON that ends in a zero byte.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

PROGRAM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
"""Empty where none is installed."""


class Page:
    """One tab."""

    def __init__(self, requests: Any, replies: Any) -> None:
        self._requests, self._replies, self._number, self._session = requests, replies, 0, ""
        self.requested: list[str] = []
        """Every address that a page asked for."""
        self.said: list[str] = []
        """What went wrong in scripts."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        self.requested: list[str] = []
        """Every address that a page asked for."""
        self.said: list[str] = []
        """What went wrong in scripts."""
        self.call("Page.enable")
        self.call("Runtime.enable")
        self.call("Network.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._requests.write(json.dumps(message).encode() + b"\0")
        self._requests.flush()
        while True:
            reply = self._read()
            if reply.get("id") == self._number:
                if "error" in reply:
                    raise RuntimeError(f"{method}: {reply['error']}")
                found: dict[str, Any] = reply["result"]
                return found

    def open(
        self, path: Path, width: int = 1280, *, dark: bool = False, scripts: bool = True
    ) -> None:
        """Load a file as a window of this width shows it, to the end."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", media="", features=[scheme])
        self.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.call("Page.navigate", url=path.as_uri())
        while self._read().get("method") != "Page.loadEventFired":
            pass

    def evaluate(self, expression: str) -> Any:
        """What an expression of JavaScript is worth; a promise is waited for."""
        found = self.call(
            *("Runtime.evaluate",),
            expression=expression,
            returnByValue=True,
            awaitPromise=True,
            userGesture=True,
        )
        if "exceptionDetails" in found:
            raise RuntimeError(json.dumps(found["exceptionDetails"]))
        return found["result"].get("value")

    def press(self, key: str, code: int) -> None:
        about = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        text = {"text": "\r"} if key == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **about, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **about)

    def screenshot(self, path: Path) -> None:
        found = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(found["data"]))

    def _read(self) -> dict[str, Any]:
        read = bytearray()
        while (byte := self._replies.read(1)) != b"\0":
            if not byte:
                raise RuntimeError("the browser ended")
            read += byte
        message: dict[str, Any] = json.loads(read)
        told = message.get("params", {})
        if message.get("method") == "Network.requestWillBeSent":
            self.requested.append(told["request"]["url"])
        if message.get("method") == "Runtime.exceptionThrown":
            self.said.append(json.dumps(told["exceptionDetails"]))
        return message


@contextmanager
def browser() -> Iterator[Page]:
    """A browser of its own, gone with the block."""
    ours_in, theirs_out = os.pipe()
    theirs_in, ours_out = os.pipe()
    theirs = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (theirs_in, theirs_out)]

    def connect() -> None:  # the browser reads 3 and writes 4
        os.dup2(theirs[0], 3)
        os.dup2(theirs[1], 4)

    with TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [
                PROGRAM,
                "--headless",
                "--no-sandbox",  # as root, and in containers, there is none
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--hide-scrollbars",
                "--remote-debugging-pipe",
                f"--user-data-dir={profile}",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(3, 4),
            preexec_fn=connect,  # noqa: PLW1509  # before any thread of the test
        )
        for fd in (theirs_in, theirs_out, *theirs):
            os.close(fd)
        try:
            with os.fdopen(ours_out, "wb") as requests, os.fdopen(ours_in, "rb") as replies:
                yield Page(requests, replies)
        finally:
            process.terminate()
            process.wait(20)
