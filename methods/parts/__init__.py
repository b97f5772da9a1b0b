"""Layers that methods are made of."""
