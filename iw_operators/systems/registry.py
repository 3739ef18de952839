"""Finds the systems: each folder beside this file that has a `catalogue.yaml` is one.

Knows no system by name. Listing and reading connection forms imports nothing of a system; its code is imported when
one is opened.
"""

from __future__ import annotations

import functools
import importlib
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import yaml

from iw_operators.errors import FixConfiguration
from iw_operators.systems.base import Settings, System

if TYPE_CHECKING:
    from iw_operators.systems.calling import Calling

FOLDER = Path(__file__).parent


@functools.cache
def systems() -> tuple[str, ...]:
    """Return the names of all systems, sorted."""
    return tuple(sorted(path.parent.name for path in FOLDER.glob("*/catalogue.yaml")))


def catalogue_path(system: str) -> Path:
    """Return where a system's catalogue is written; FixConfiguration for a system that is not known."""
    return FOLDER / _known(system) / "catalogue.yaml"


@functools.cache
def _connection(system: str) -> dict[str, Any]:
    path = FOLDER / system / "connection.yaml"
    if not path.exists():
        return {}
    with path.open("rb") as stream:
        return cast(dict[str, Any], yaml.load(stream, Loader=yaml.CSafeLoader))


def connection_types() -> list[dict[str, Any]]:
    """Return what Airflow's provider metadata says of each system's connection (`connection-types`)."""
    return [_connection(system) for system in systems() if _connection(system)]


def system_for_connection(conn_type: str) -> str | None:
    """Return the system whose connections have this type, None if there is none."""
    return next((name for name in systems() if _connection(name).get("connection-type") == conn_type), None)


def open_system(system: str, conn_id: str, settings: Settings) -> System:
    """Return a system over one Airflow connection.

    Nothing is sent yet, except what a system says of itself. FixConfiguration for a system that is not known; a
    missing connection or one that lacks something is FixConfiguration too.
    """
    module = importlib.import_module(f"iw_operators.systems.{_known(system)}.system")
    return cast(System, module.connect(conn_id, settings))


@functools.cache
def calling(system: str) -> Calling | None:
    """Return what reads the calls of a system; None for one that makes none. FixConfiguration for an unknown one."""
    if not (FOLDER / _known(system) / "calls.py").exists():
        return None
    return cast("Calling", importlib.import_module(f"iw_operators.systems.{system}.calls"))


def _known(system: str) -> str:
    if system in systems():
        return system
    near = get_close_matches(system, systems(), n=1, cutoff=0.5)
    hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(systems())}."
    msg = f"There is no system {system!r}."
    raise FixConfiguration(msg, code="iw.unknown_system", advice=hint)
