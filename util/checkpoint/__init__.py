"""Checkpoints: what they hold, how they are read without trusting them, and where a run keeps its own."""
