"""Airflow, where these tests meet it, has a home of its own instead of the user's."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(scope="session", autouse=True)
def airflow_home(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Set Airflow's home, unless another folder's tests have done so; nothing here imports Airflow before."""
    if "AIRFLOW_HOME" not in os.environ:
        os.environ["AIRFLOW_HOME"] = str(tmp_path_factory.mktemp("airflow"))
        os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
