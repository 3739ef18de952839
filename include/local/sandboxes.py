"""The sandboxes as a process of their own, with their data kept in a folder."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from local.airflow import REPOSITORY

START_SECONDS = 60.0


@dataclass(slots=True)
class SandboxProcess:
    """`python -m sandbox`: `ports` by the sandbox's name; a port of 0 is not allowed here. `seed`: whose data it is."""

    data: Path
    ports: Mapping[str, int]
    log_file: Path
    seed: str = "acme"
    process: subprocess.Popen[bytes] | None = field(default=None)

    def url(self, name: str) -> str:
        """Return where one sandbox is asked over HTTP: that of the mail server is its web side."""
        return f"http://127.0.0.1:{self.ports['mail_web' if name == 'mail' else name]}"

    def start(self) -> None:
        """Start them and wait until each answers. Raises RuntimeError with the end of the log."""
        ports = {f"IW_SANDBOX_PORT_{name.upper()}": str(port) for name, port in self.ports.items()}
        path = os.pathsep.join(str(REPOSITORY / part) for part in (".", "include"))
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603  our own program with our own arguments
                [sys.executable, "-m", "sandbox", "--data", str(self.data), "--seed", self.seed, "--only", *self.ports],
                env={**os.environ, **ports, "PYTHONPATH": path},
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        for name in self.ports:
            while not self._answers(name):
                if self.process.poll() is not None or time.monotonic() > deadline:
                    msg = f"the sandbox {name} did not start; see {self.log_file}:\n{self.log_file.read_text()[-2000:]}"
                    raise RuntimeError(msg)
                time.sleep(0.1)

    def _answers(self, name: str) -> bool:
        try:
            return httpx.get(f"{self.url(name)}/_sandbox/stats", timeout=5.0).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    def stop(self) -> None:
        """Stop them; their data stays."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None
