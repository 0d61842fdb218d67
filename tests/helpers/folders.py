"""What is in a folder."""

import os
from pathlib import Path


def names(folder: Path) -> set[str]:
    """Returns every name in a folder, including hidden ones; none if it does not exist yet."""
    return set(os.listdir(folder)) if folder.is_dir() else set()


def files(folder: Path) -> set[str]:
    """Returns everything in a folder and below."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def folder_in(parent: Path, name: str) -> Path:
    """Makes a folder."""
    folder = parent / name
    folder.mkdir()
    return folder
