"""Times the indexing of a new text, against md5sum of the same file, and measures the memory it takes.

Times train.py as well, from the command to the line of its first iteration: what it takes beyond `import torch`.

    python benchmarks/preprocess.py -megabytes 200
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
ASCII = "To be, or not to be, that is the question:\n"
MIXED = "To be, or not to be? Быть или не быть? 生存还是毁灭? ¿Ser o no ser? क्या होना? 😀\n"

CHILD = """
import sys, time, resource
sys.path.insert(0, sys.argv[1])
import torch
from pathlib import Path
from util.text.cache import load_text
from util.text.source import Source
start = time.perf_counter()
text = load_text(Source(Path(sys.argv[2])), "utf-8")
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, len(text.vocabulary))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="Times the indexing of a text.")
    parser.add_argument("-megabytes", type=int, default=200)
    parser.add_argument("-repeats", type=int, default=3)
    options = parser.parse_args()
    print(f"{options.megabytes} MB, best of {options.repeats}; resident memory includes torch\n")
    print(
        f"{'':22} {'seconds':>8} {'MB/s':>8} {'md5sum':>8} {'ratio':>6} {'resident MB':>12} {'warm, s':>8} "
        f"{'first iteration, s':>19} {'ratio':>6}"
    )
    for name, line in (("ASCII", ASCII), ("mixed scripts, UTF-8", MIXED)):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "input.txt"
            write(path, line, options.megabytes)
            md5 = min(timed_md5(path) for _ in range(options.repeats))
            first, memory = min(load(path, fresh=True) for _ in range(options.repeats))
            warm, _ = min(load(path, fresh=False) for _ in range(options.repeats))
            begun = min(first_iteration(path) - import_torch() for _ in range(options.repeats))
        print(
            f"{name:22} {first:8.2f} {options.megabytes / first:8.0f} {md5:8.2f} {first / md5:6.1f} "
            f"{memory:12} {warm:8.2f} {begun:19.2f} {begun / md5:6.1f}"
        )


def write(path: Path, line: str, megabytes: int) -> None:
    """Writes a text of that size that repeats one line."""
    block = (line * (1_000_000 // len(line.encode()) + 1)).encode()
    with open(path, "wb") as file:
        for _ in range(megabytes):
            file.write(block[:1_000_000] if block.isascii() else line.encode() * (1_000_000 // len(line.encode())))


def timed_md5(path: Path) -> float:
    start = time.perf_counter()
    subprocess.run(["md5sum", path], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def load(path: Path, fresh: bool) -> tuple[float, int]:
    """Returns the seconds that the loader takes, and the largest resident memory of its process in MB."""
    if fresh:
        forget(path)
    child = subprocess.run([sys.executable, "-c", CHILD, ROOT, path], check=True, capture_output=True, text=True)
    seconds, memory, _ = child.stdout.split()
    return float(seconds), int(memory)


def first_iteration(path: Path) -> float:
    """Returns the seconds from the command to the line of the first iteration, on a text that is not indexed yet."""
    forget(path)
    start = time.perf_counter()
    flags = ["-data_dir", path.parent, "-checkpoint_dir", path.parent / "cv", "-gpuid", "-1"]
    command = [sys.executable, ROOT / "train.py", *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as run:
        assert run.stdout
        for line in run.stdout:
            if line.startswith("1/"):
                break
        seconds = time.perf_counter() - start
        run.kill()
    return seconds


def import_torch() -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    return time.perf_counter() - start


def forget(path: Path) -> None:
    for name in ("vocab.json", "data.bin"):
        path.with_name(name).unlink(missing_ok=True)


if __name__ == "__main__":
    main()
