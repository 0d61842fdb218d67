"""The default model against nanoGPT's: trained on the first nine tenths of a text, tested on the last one.

    python benchmarks/nanogpt.py -seconds 98

nanoGPT splits tinyshakespeare there as well. The seconds are those of train.py as a command, from start to checkpoint.
"""

import argparse
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description="Trains for some seconds, and evaluates.")
    parser.add_argument("-text", type=Path, default=ROOT / "data" / "tinyshakespeare" / "input.txt")
    parser.add_argument("-seconds", type=float, default=98)
    options = parser.parse_args()
    text = options.text.read_text("utf-8")
    border = int(0.9 * len(text))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "input.txt").write_text(text[:border], "utf-8")
        (folder / "last_tenth.txt").write_text(text[border:], "utf-8")
        flags = ["-data_dir", name, "-checkpoint_dir", folder / "cv", "-gpuid", "-1"]
        run = subprocess.Popen([sys.executable, ROOT / "train.py", *flags], stdout=subprocess.DEVNULL)
        try:
            run.wait(options.seconds)
        except subprocess.TimeoutExpired:
            run.send_signal(signal.SIGINT)
            run.wait()
        newest = max((folder / "cv").iterdir(), key=lambda path: path.stat().st_mtime)
        print(f"{options.seconds:g} s, {newest.stem}", flush=True)
        evaluate = [sys.executable, ROOT / "evaluate.py", newest, "-file", folder / "last_tenth.txt", "-gpuid", "-1"]
        subprocess.run(evaluate, check=True)


if __name__ == "__main__":
    main()
