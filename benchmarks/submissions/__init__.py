"""Records that others submit: what can be checked of them without training their runs again."""
