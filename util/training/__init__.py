"""Training: the trainer, its optimizer, several processes, the log of a run."""
