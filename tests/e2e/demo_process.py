"""`make demo` as a process of its own: its output line by line, its signals, and what it leaves behind."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import httpx
import psutil

from local.airflow import REPOSITORY
from local.stack import Ports

MARK = "IW_TEST_MARK"
SECONDS = 280.0


class Demo:
    """One run of the demo on a home folder, as the Makefile starts it."""

    def __init__(self, home: Path, ports: Ports, *options: str) -> None:
        self.home = home
        self.ports = ports
        self.mark = uuid.uuid4().hex
        self.lines: list[str] = []
        self._queue: queue.Queue[str | None] = queue.Queue()
        numbers = {
            "IW_DEMO_PORT": ports.airflow,
            "IW_DEMO_WORKER_LOG_PORT": ports.worker_log,
            "IW_DEMO_TRIGGER_LOG_PORT": ports.trigger_log,
            **{f"IW_SANDBOX_PORT_{name.upper()}": port for name, port in ports.sandboxes.items()},
        }
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "demo", "--home", str(home), *options],
            env={
                **os.environ,
                "PYTHONPATH": f".{os.pathsep}include",
                MARK: self.mark,
                **{name: str(number) for name, number in numbers.items()},
            },
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self._queue.put(line.rstrip())
        self._queue.put(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        """Whatever happened, nothing stays behind."""
        for process in self.left():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()

    @property
    def output(self) -> str:
        """What it has printed and a test has read."""
        return "\n".join(self.lines)

    def until(self, text: str) -> None:
        """Read on until a line has this text."""
        for line in self._read_on():
            if text in line:
                return
        raise AssertionError(f"the demo ended without {text!r}:\n{self.output}")

    def end(self) -> int:
        """Read to the end; return the exit code."""
        for _ in self._read_on():
            pass
        return self.process.wait(timeout=30)

    def _read_on(self) -> Iterator[str]:
        deadline = time.monotonic() + SECONDS
        while (line := self._queue.get(timeout=max(0.1, deadline - time.monotonic()))) is not None:
            self.lines.append(line)
            yield line

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def control(self, sandbox: str, action: str, body: dict[str, Any]) -> None:
        """Call a sandbox's control as soon as it listens."""
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                url = f"http://127.0.0.1:{self.ports.sandboxes[sandbox]}/_sandbox/{action}"
                httpx.post(url, json=body, timeout=30.0).raise_for_status()
            except httpx.TransportError:
                assert time.monotonic() < deadline
                time.sleep(0.2)
            else:
                return

    def left(self) -> list[psutil.Process]:
        """Return the processes that belong to this demo: by their environment, their folder or their command."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                home = str(self.home)
                known = self.mark in process.environ().get(MARK, "") or home in " ".join(process.cmdline())
                if process.pid != os.getpid() and (known or process.cwd().startswith(home)):
                    found.append(process)
        return found

    def table(self) -> dict[str, dict[str, dict[str, int]]]:
        """Return the summary's table: flow, mapping, heading, number."""
        rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in self.lines if line.startswith("│")]
        (heading,) = [line for line in self.lines if line.startswith("┃")]
        names = [cell.strip() for cell in heading.split("┃")[2:-1]]
        found: dict[str, dict[str, dict[str, int]]] = {}
        for name, *cells in rows:
            if any(cells):
                found[list(found)[-1]][name] = dict(zip(names, map(int, cells), strict=True))
            else:
                found[name] = {}
        return found
