"""Tables from run records: one row per method, one column per task, and whether differences are significant."""
