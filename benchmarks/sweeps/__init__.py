"""What is asked for: a sweep, its runs, its plan before anything is run, and the listing of what there is."""
