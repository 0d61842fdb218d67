"""Writes the text of a page whose model's own text is gone."""

from __future__ import annotations

import numpy as np
from tqdm import tqdm

from model.stepper import Stepper
from util.checkpoint.content import Checkpoint
from util.sampling.drawing import drawing, sample
from util.sampling.growing import document_end


def written_texts(checkpoint: Checkpoint, length: int, seed: int, texts: int) -> list[str]:
    """Returns what the model writes by itself: what sample.py prints with this seed and those that follow."""
    V, _, L, model = checkpoint.model_shape
    step = Stepper(checkpoint.parameters, L, model, texts)
    sampled = sample(step, drawing(seed, texts), texts, V, document_end(checkpoint), length)
    drawn = np.array([indices for indices, _ in tqdm(sampled, "writing", length, leave=False, delay=2, disable=None)])
    return ["".join(checkpoint.vocabulary.characters[index] for index in column) for column in drawn.T]
