"""Everything around the model: text, checkpoints, random numbers, flags."""
