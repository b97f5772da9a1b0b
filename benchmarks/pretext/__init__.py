"""Formula-driven data for pretraining: drawn on the fly, with many known attributes."""
