"""Has no DAG. Shows the errors of all specs, with file and line, as this file's import error in Airflow.

Airflow hides every DAG of a file that has an import error; the flows without errors are in `interweave.py`.
"""

from iw_operators.dag import check_specs
from iw_operators.settings import mappings_folder

check_specs(mappings_folder(__file__))
