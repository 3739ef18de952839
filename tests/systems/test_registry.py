"""The registry finds systems by their folders."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import airflow
import jsonschema  # type: ignore[import-untyped]  # ships no types
import pytest
import yaml

from iw_operators.errors import FixConfiguration
from iw_operators.spec.catalogue import Catalogue
from iw_operators.systems import registry
from iw_operators.systems.base import Settings


class NoState:
    """A state that nobody may touch."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)


def test_every_folder_with_a_catalogue_is_a_system() -> None:
    """A system is a folder; there is no list of names to keep."""
    folders = {path.parent.name for path in Path(registry.__file__).parent.glob("*/catalogue.yaml")}
    assert set(registry.systems()) == folders
    assert "creatio" in registry.systems()


@pytest.mark.parametrize("system", registry.systems())
def test_catalogue_has_its_form_and_its_folders_name(system: str) -> None:
    """Each catalogue is valid and calls itself as its folder is called."""
    with registry.catalogue_path(system).open("rb") as stream:
        catalogue = Catalogue.model_validate(yaml.load(stream, yaml.CSafeLoader))
    assert catalogue.system == system


def test_connection_types_are_what_airflow_accepts() -> None:
    """The connection forms hold to Airflow's own schema of provider metadata."""
    schema = json.loads((Path(airflow.__file__).parent / "provider_info.schema.json").read_text())
    info = {"name": "x", "description": "x", "connection-types": registry.connection_types()}
    jsonschema.validate(info, schema)
    assert registry.system_for_connection("creatio") == "creatio"
    assert registry.system_for_connection("nothing") is None


def test_unknown_system_gets_a_suggestion() -> None:
    """A misspelt system is a configuration error that names the right one."""
    with pytest.raises(FixConfiguration, match="'creatio'"):
        registry.open_system("creatoi", "x", Settings(state=NoState()))
    with pytest.raises(FixConfiguration, match="Known: "):
        registry.catalogue_path("zzzzzz")


def test_listing_imports_neither_airflow_nor_http_clients() -> None:
    """Airflow reads connection forms in each of its processes, so that listing them has to be cheap."""
    code = (
        "import sys; from iw_operators.systems.registry import connection_types; connection_types();"
        "heavy = {'airflow', 'requests', 'pandas', 'sqlalchemy'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
