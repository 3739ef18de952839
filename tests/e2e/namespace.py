"""A network namespace: a machine of its own as far as the network goes. Linux, root and iproute2 are needed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

LISTENS = "0A"  # state of a socket in /proc/net/tcp
LOOPBACK = ("0100007F", "00000000000000000000000001000000")  # 127.0.0.1 and ::1 as they stand there


@dataclass(frozen=True, slots=True)
class Namespace:
    """One namespace. It reaches `outside`, which is this machine, and nothing else; itself it is `inside`."""

    name: str
    outside: str
    inside: str

    def command(self, *arguments: str) -> list[str]:
        """Return a command that is run in there, as the process that is started."""
        return ["ip", "netns", "exec", self.name, *arguments]

    def run(self, *arguments: str) -> str:
        """Run a program in there; return its output."""
        done = subprocess.run(self.command(*arguments), check=True, capture_output=True, text=True, timeout=60)
        return done.stdout

    def open_ports(self) -> list[int]:
        """Return the TCP ports in there that somebody outside could connect to."""
        lines = [line.split() for line in self.run("cat", "/proc/net/tcp", "/proc/net/tcp6").splitlines()]
        listening = [each[1].split(":") for each in lines if len(each) > 3 and each[3] == LISTENS]
        return [int(port, 16) for address, port in listening if address not in LOOPBACK]


def possible() -> bool:
    """Tell whether a namespace can be made here."""
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("ip") is None:
        return False
    with contextlib.suppress(subprocess.CalledProcessError), namespace("iwtry"):
        return True
    return False


@contextmanager
def namespace(name: str = "") -> Iterator[Namespace]:
    """Make a namespace with one cable to this machine; it is gone at the end. Raises CalledProcessError."""
    number = os.getpid() % 16_000
    net = f"10.{93 + number // 8_000}.{number // 64 % 125 + 1}.{number % 64 * 4}"
    first, _, last = net.rpartition(".")
    made = Namespace(name or f"iw{number}", f"{first}.{int(last) + 1}", f"{first}.{int(last) + 2}")
    cable, end = f"{made.name}a", f"{made.name}b"
    with ExitStack() as cleanup:
        _ip("netns", "add", made.name)
        cleanup.callback(_ip, "netns", "del", made.name)  # and the cable with it
        _ip("link", "add", cable, "type", "veth", "peer", "name", end, "netns", made.name)
        _ip("addr", "add", f"{made.outside}/30", "dev", cable)
        _ip("link", "set", cable, "up")
        for arguments in (("addr", "add", f"{made.inside}/30", "dev", end), ("link", "set", end, "up")):
            _ip("-n", made.name, *arguments)
        _ip("-n", made.name, "link", "set", "lo", "up")
        yield made


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@contextmanager
def passed_on(host: str, ports: Sequence[int]) -> Iterator[None]:
    """Pass connections to `host` on to the same ports of the loopback interface, as a server's public side does."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    servers = [asyncio.run_coroutine_threadsafe(_listen(host, port), loop).result(10) for port in ports]
    try:
        yield
    finally:
        asyncio.run_coroutine_threadsafe(_end(servers), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _listen(host: str, port: int) -> asyncio.Server:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            there, back = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(_copy(reader, back), _copy(there, writer))

    return await asyncio.start_server(accept, host, port)


async def _end(servers: Sequence[asyncio.Server]) -> None:
    for server in servers:
        server.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()
