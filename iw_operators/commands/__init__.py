"""What the commands `airflow iw ...` do; `iw_operators.cli` says which there are and what arguments they have."""
