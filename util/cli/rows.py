"""Prints tables on standard output."""

from __future__ import annotations

import csv
import io


def print_row(*values: object, flush: bool = False) -> None:
    r"""Prints a tab-separated row, quoted as readers of CSV expect it: also a value with a tab or a \r in it."""
    row = io.StringIO(newline="")
    csv.writer(row, "excel-tab").writerow(values)
    print(row.getvalue().removesuffix("\r\n"), flush=flush)
