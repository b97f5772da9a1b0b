"""Pretraining on formula-driven data: samples that are drawn when they are needed, with many known attributes."""
