"""Everything around the model: text, checkpoints, random numbers, flags."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
"""The program's own folder."""
