"""What a person asks for: the options of a sweep, its runs, its plan, and the lists of what is available."""
