"""Every flow of every company as an Airflow DAG, with their daily reports and maintenances.

A worker builds only the one that it runs.

Specs with errors are left out here and shown by `interweave_errors.py`, so that they take down nothing but themselves.
"""

from airflow.sdk import get_parsing_context

from iw_operators.dag import dags_of, flows_of, uncollected
from iw_operators.maintenance_dags import maintenances_of
from iw_operators.reports import reports_of
from iw_operators.settings import mappings_folder

folder, wanted = mappings_folder(__file__), get_parsing_context().dag_id
with uncollected():
    flows = flows_of(folder, wanted)
    beside = (*reports_of(flows, folder, wanted), *maintenances_of(flows, folder, wanted))
    for dag in (*dags_of(flows, wanted), *beside):
        globals()[dag.dag_id] = dag
