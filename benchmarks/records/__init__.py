"""What a run is (Spec), what came of it (Result), and the one JSON file that keeps it."""
