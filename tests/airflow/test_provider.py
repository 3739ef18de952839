"""What Airflow learns from the installed package."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from airflow import plugins_manager
from airflow.cli.cli_config import ActionCommand, GroupCommand
from airflow.providers_manager import ProvidersManager
from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime

from iw_operators import listener
from iw_operators.provider import OPTIONS, get_provider_info
from iw_operators.systems import registry
from tests.drivers import need_odbc

REPOSITORY = Path(__file__).resolve().parents[2]
FORMS = {form["connection-type"]: form for form in registry.connection_types()}


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> dict[str, Any]:
    """A system's connection form, once for each system; one whose hook is made of Airflow's ODBC hook needs pyodbc."""
    if request.param == "quickbooks_desktop":
        need_odbc()
    return FORMS[request.param]


@pytest.fixture(scope="module")
def manager() -> ProvidersManager:
    """Airflow's view of the installed providers."""
    return ProvidersManager()  # type: ignore[no-untyped-call]  # Airflow leaves it untyped


def test_airflow_takes_the_provider(manager: ProvidersManager) -> None:
    """The package shows among Airflow's providers: its metadata is valid and its version right."""
    found = manager.providers["iw-operators"]
    assert found.version == get_provider_info()["versions"][0]
    assert found.data["name"] == "InterWeave"


@pytest.mark.feature("S1", "S2")
def test_every_system_is_a_connection_type_with_a_form(manager: ProvidersManager, form: dict[str, Any]) -> None:
    """Each system can be chosen in the connection form, has fields of its own there, and a Test button."""
    assert len(FORMS) == len(registry.systems())
    runtime = ProvidersManagerTaskRuntime()  # type: ignore[no-untyped-call]  # Airflow leaves it untyped
    conn_type = form["connection-type"]
    hook = runtime.hooks[conn_type]
    assert hook, conn_type
    assert hook.hook_name == form["hook-name"]
    assert hook.connection_testable, conn_type
    shown = {key for key in manager.connection_form_widgets if key.startswith(f"extra__{conn_type}__")}
    assert len(shown) == len(form.get("conn-fields", {}))


def test_named_modules_exist() -> None:
    """Operators, sensors and triggers that the metadata names can be imported."""
    info = get_provider_info()
    for kind in ("operators", "sensors", "triggers"):
        for group in info[kind]:
            for module in group["python-modules"]:
                __import__(module)


def test_commands_are_part_of_airflows(manager: ProvidersManager) -> None:
    """`airflow iw` is a command of Airflow's."""
    commands = [command for function in manager.cli_command_functions for command in function()]
    names = {command.name for command in commands if isinstance(command, GroupCommand | ActionCommand)}
    assert "iw" in names


def test_options_are_among_airflows(manager: ProvidersManager) -> None:
    """Airflow's list of options has section [interweave] with every option and its default."""
    config = dict(manager.provider_configs)["iw-operators"]
    assert set(config["interweave"]["options"]) == set(OPTIONS)
    for name, option in OPTIONS.items():
        assert option["description"], name
        assert option["default"] is None or isinstance(option["default"], str), name


def test_reading_the_metadata_loads_no_system() -> None:
    """Every Airflow process asks for the metadata; it costs no import of a connector."""
    script = (
        "import sys; from iw_operators.provider import get_provider_info; get_provider_info();"
        "print([m for m in sys.modules if m.split('.')[0] in ('airflow', 'requests', 'quickbooks', 'pandas')])"
    )
    done = subprocess.run([sys.executable, "-c", script], env=dict(os.environ), capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_the_hook_classes_exist(form: dict[str, Any]) -> None:
    """Each connection form names a hook class that can be imported."""
    module, _, name = form["hook-class-name"].rpartition(".")
    assert getattr(importlib.import_module(module), name).conn_type == form["connection-type"]


class TestPlugin:
    """The plugin comes once, by entry point or by file."""

    def test_it_is_registered_once(self) -> None:
        """With the package installed and the plugins folder set, Airflow has one plugin of ours and no error."""
        assert [plugin.name for plugin in plugins_manager._get_plugins()[0]].count("interweave") == 1
        assert plugins_manager._get_plugins()[1] == {}

    def test_it_brings_timetables_and_listener(self) -> None:
        """Airflow can read the timetables back and has the scheduler's listener."""
        assert {
            "iw_operators.timetables.IntervalTimetable",
            "iw_operators.timetables.BackfillOnlyTimetable",
        } <= set(plugins_manager.get_timetables_plugins())
        (plugin,) = [p for p in plugins_manager._get_plugins()[0] if p.name == "interweave"]
        assert plugin.listeners == [listener]

    @pytest.mark.parametrize("installed", [True, False])
    def test_the_file_steps_back_for_the_entry_point(self, installed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        """The file in the plugins folder has the plugin exactly where no entry point brings it."""
        file = REPOSITORY / "plugins" / "interweave_plugin.py"
        real = entry_points(group="airflow.plugins")
        monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: ["one"] if installed else [])
        names: dict[str, object] = {}
        exec(compile(file.read_text(), str(file), "exec"), names)  # noqa: S102  Airflow runs the file the same way
        assert ("InterWeavePlugin" in names) is not installed
        assert any(point.value == "iw_operators.airflow_plugin:InterWeavePlugin" for point in real)
