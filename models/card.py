"""Fills the cost on the engine into the cards and the index: MACs, arena and flash, from `sanderling compile --json`."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from zoo import card

ROOT = Path(__file__).resolve().parent
MODELS = ("digits", "terrain", "map")
FIGURES = ("macs", "arena_bytes", "flash_bytes")
DEADLINE_S = 120
# Between these marks stands the table of the index, README.md.
BEGIN, END = "<!-- figures, by `python models/card.py` -->", "<!-- end of figures -->"


def measure(command, model, target):
    """{macs, arena_bytes, flash_bytes} of one model on one target."""
    with tempfile.TemporaryDirectory() as folder:
        line = [*command, "compile", str(model), "--target", target, "-o", str(Path(folder) / "model.plan"), "--json"]
        try:
            done = subprocess.run(line, capture_output=True, text=True, timeout=DEADLINE_S)
        except FileNotFoundError:
            sys.exit(f"card: {command[0]} is not there; build it with `cargo build -p sanderling-cli` and give it with --sanderling")
        except subprocess.TimeoutExpired:
            sys.exit(f"card: {' '.join(line)} took longer than {DEADLINE_S} s")
    if done.returncode != 0:
        sys.exit(f"card: {' '.join(line)} failed: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else done.returncode}")
    try:
        found = json.loads(done.stdout)
        return {key: int(found[key]) for key in FIGURES}
    except (ValueError, KeyError, TypeError) as error:
        sys.exit(f"card: the output of {' '.join(line)} lacks a figure: {error!r}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=MODELS, help=f"which (default: {' '.join(MODELS)})")
    parser.add_argument("--sanderling", default=os.environ.get("SANDERLING", "sanderling"), help="the command (default: $SANDERLING, else `sanderling`)")
    parser.add_argument("--target", action="append", help="may be given more than once (default: cortex-m4)")
    args = parser.parse_args()
    for name in args.models:
        folder = ROOT / name
        try:
            facts = card.read(folder)
        except OSError as error:
            sys.exit(f"card: {error}")
        for version in facts["versions"].values():
            version["engine"] = {t: measure([args.sanderling], folder / version["file"], t) for t in args.target or ["cortex-m4"]}
            print(name, version["file"], version["engine"])
        card.write(folder, facts)
    index = ROOT / "README.md"
    before, _, after = index.read_text().partition(BEGIN)
    index.write_text(before + BEGIN + "\n" + card.summary([card.read(ROOT / name) for name in MODELS]) + "\n" + END + after.partition(END)[2])


if __name__ == "__main__":
    main()
