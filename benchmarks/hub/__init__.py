"""Trained models on the Hugging Face hub: what a repository holds, its model card, and the way there and back."""
