"""One run: a Spec becomes a Result."""
