"""Optuna studies on validation alone, and the configurations that they found."""
