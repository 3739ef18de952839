"""The Integration Manager: a page inside Airflow, in its navigation and as a tab of each DAG."""
