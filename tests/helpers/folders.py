"""What is in a folder."""

import os
from pathlib import Path


def names(folder: Path) -> set[str]:
    """Every name in a folder, hidden ones too; none where it is not made yet."""
    return set(os.listdir(folder)) if folder.is_dir() else set()


def files(folder: Path) -> set[str]:
    """All that is in a folder and below."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def folder_in(parent: Path, name: str) -> Path:
    """Makes a folder."""
    folder = parent / name
    folder.mkdir()
    return folder
