"""Every flow of every company as an Airflow DAG. A worker builds only the one that it runs.

Specs with errors are left out here and shown by `interweave_errors.py`, so that they take down nothing but themselves.
"""

from airflow.sdk import get_parsing_context

from iw_operators.dag import build_dag, flows_of
from iw_operators.settings import mappings_folder

for flow in flows_of(mappings_folder(__file__), get_parsing_context().dag_id):
    globals()[flow.dag_id] = build_dag(flow)
