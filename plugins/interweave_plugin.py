"""Gives Airflow the InterWeave plugin where the package is on the path without being installed.

An installed package brings the plugin by its entry point. Airflow reads this folder first and reports a second plugin
of the same name as an error, therefore the file stays silent then.
"""

from importlib.metadata import entry_points

if not entry_points(group="airflow.plugins", name="interweave"):
    from iw_operators.airflow_plugin import InterWeavePlugin as InterWeavePlugin
