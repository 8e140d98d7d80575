"""Checks that models, golden frames and cards belong together, that the cards' accuracy is what the oracle gives, and that
the oracle computes exactly on this processor.

Needs models/requirements.txt only, and checks that too. The accuracy of models whose recordings are not here is skipped, and said so.
"""

import argparse
import ast
import hashlib
import importlib
import os
import re
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent
MODELS = ("digits", "terrain", "map")


class Wrong(Exception):
    """Something in the zoo does not belong together; the text says what and what to do."""


def require(holds, text):
    """Raises `Wrong` with `text` unless it holds."""
    if not holds:
        raise Wrong(text)


def programs_import_what_the_requirements_list():
    """What the tests, the demo and the oracle start imports packages of requirements.txt and nothing else, however deep."""
    listed = {re.split("[=<>~ ]", line)[0].lower() for line in (ROOT / "requirements.txt").read_text().splitlines() if line and line[0] not in "#-"}
    programs = [ROOT / name for name in ("check.py", "card.py", "frames.py", "oracle.py", "map/places.py")] + sorted((ROOT / "opsuite").glob("*.py"))
    # Named by a string, not by an import.
    seen, queue, foreign = set(), programs + [ROOT / name / "data.py" for name in MODELS] + [ROOT / "map/judge.py"], {}
    require(len(programs) > 10, f"only {len(programs)} programs are found in {ROOT}")
    while queue:
        path = queue.pop()
        if path in seen:
            continue
        seen.add(path)
        for module in _imported(path):
            own = ROOT / Path(*module.split("."))
            if (ROOT / module.split(".")[0]).is_dir():
                queue += [file for file in (own.with_suffix(".py"), own / "__init__.py") if file.is_file()]
            elif module.split(".")[0] not in sys.stdlib_module_names:
                foreign.setdefault(module.split(".")[0], path.relative_to(ROOT))
    missing = {module: path for module, path in foreign.items() if {"sklearn": "scikit-learn"}.get(module, module) not in listed}
    require(not missing, "; ".join(f"{path} imports {module}, which requirements.txt does not list" for module, path in missing.items()))


def _imported(path):
    """The modules that a file imports, wherever in it; `from x import y` may mean the module x.y."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def oracle_computes_as_integer_arithmetic_does():
    """Networks and graphs that saturate 16 bits are answered exactly, and those of its settings that do not are told apart."""
    from zoo import kernels, oracle, proof

    found = oracle.prove()
    for name, model, frames, answers in proof.networks():
        plain = oracle.plain(model)
        inexact, differing = kernels.inexact(plain.executed), int(np.sum(plain.run(frames) != answers))
        require(bool(inexact) == (differing > 0), f"{name}: {differing} values differ without a precaution, and the kernels found inexact are: {', '.join(map(str, inexact))}")
    for name, model, feed, answer in proof.graphs():
        opened = oracle.opened(model)
        given = opened.session.run(None, feed)[0]
        require(np.array_equal(given, answer), f"{name}, setting {opened.setting}: {np.sum(given != answer)} of {given.size} values differ from integer arithmetic")
        found.append((name, opened.setting))
    print("the oracle's settings on this processor:", "; ".join(f"{name}: {setting}" for name, setting in found))


def file_is_the_cards(name, version, shared):
    """The file's digest and size stand in the card."""
    path = ROOT / name / version["file"]
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    require(found == version["sha256"], f"{path.name} has digest {found[:16]}..., the card says {version['sha256'][:16]}...; run train.py")
    require(path.stat().st_size == version["bytes"] < 200_000, f"{path.name} has {path.stat().st_size} bytes")


def oracle_gives_the_golden_outputs(name, version, shared):
    """ONNX Runtime gives the stored outputs bit for bit, in integers throughout."""
    from zoo import oracle

    path = ROOT / name / version["file"]
    golden = np.load(path.with_suffix(".golden.npz"))
    found = oracle.run(path, golden["input"])
    require(np.array_equal(found, golden["output"]), f"{path.name}: {np.sum(found != golden['output'])} of {found.size} golden outputs differ")
    kind = str(golden["kind"])
    require(kind in ("recorded", "synthetic") and (kind == "synthetic" or name == "digits"), f"{path.name}: golden inputs are {kind}")


def held_out_figures_are_the_cards(name, version, shared):
    """The figures of the card come out again on the held-out data."""
    from zoo.judge import classification

    if name != "digits" and not (Path(shared) / "robot-data").is_dir():
        return f"no recordings at {shared}"
    inputs, labels = importlib.import_module(f"{name}.data").held_out(shared)
    if name == "map":
        judge = importlib.import_module("map.judge").model_judge(inputs, labels)
    else:
        judge = classification(inputs, labels, version["output"][-1])
    found = judge(ROOT / name / version["file"])
    require(found == version["int8"], f"{version['file']}: found {found}, the card says {version['int8']}")
    if name == "digits":
        require(found["accuracy"] >= 0.97, f"{version['file']}: top-1 {found['accuracy']}, at least 0.97 is promised")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=os.environ.get("SANDERLING_SHARED", ROOT.parents[1] / "shared"))
    shared = parser.parse_args().shared
    try:
        from zoo import card
    except ImportError as error:
        sys.exit(f"check: {error}; install models/requirements.txt")

    checks = [("models", check, ()) for check in (programs_import_what_the_requirements_list, oracle_computes_as_integer_arithmetic_does)]
    for name in MODELS:
        for version in card.read(ROOT / name)["versions"].values():
            for check in (file_is_the_cards, oracle_gives_the_golden_outputs, held_out_figures_are_the_cards):
                checks.append((version["file"], check, (name, version, shared)))
    count = {"passed": 0, "failed": 0, "skipped": 0}
    for subject, check, arguments in checks:
        try:
            skipped = check(*arguments)
            outcome, why = ("skipped", skipped) if skipped else ("passed", "")
        except Exception as error:  # whatever happens is that check's failure; ONNX Runtime raises classes of its own
            outcome, why = "failed", str(error) if isinstance(error, Wrong) else f"{type(error).__name__}: {error}"
        count[outcome] += 1
        print(f"{outcome}: {subject}: {check.__name__}{': ' + why if why else ''}")
    print(", ".join(f"{n} {outcome}" for outcome, n in count.items()))
    sys.exit(count["failed"] > 0)


if __name__ == "__main__":
    main()
