"""Which method to take for one task: a search under a budget, a rule of choice, and the report."""
