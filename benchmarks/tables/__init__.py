"""Run records to tables: one row per method, one column per task, and what differences are worth."""
