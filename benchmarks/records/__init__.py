"""The description of a run (Spec), its outcome (Result), and the JSON file that keeps both."""
