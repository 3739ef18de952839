"""InterWeave on Airflow: a CRM and the books kept in step by flows that are generated from mapping specs."""

__version__ = "0.1.0"
