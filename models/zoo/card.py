"""A model's card: `card.json` holds the facts, `CARD.md` is drawn from it and never edited by hand."""

import json
from pathlib import Path


def write(folder, facts):
    """Writes `card.json` and `CARD.md`. Engine figures that an older card holds for the same file are kept."""
    folder = Path(folder)
    old = folder / "card.json"
    if old.exists():
        for name, version in json.loads(old.read_text()).get("versions", {}).items():
            new = facts["versions"].get(name)
            if new and new["sha256"] == version["sha256"] and "engine" in version:
                new.setdefault("engine", version["engine"])
    old.write_text(json.dumps(facts, indent=1) + "\n")
    (folder / "CARD.md").write_text(markdown(facts))


def read(folder):
    """The facts of a model's card."""
    return json.loads((Path(folder) / "card.json").read_text())


def markdown(facts):
    """The card as Markdown."""
    lines = [f"# {facts['name']}", "", facts["purpose"], ""]
    for title in ("data", "licence", "split", "input", "output", "training", "limits"):
        if title in facts:
            lines += [f"**{title.capitalize()}.** {facts[title]}", ""]
    lines += ["## Figures", "", *_figures(facts["versions"]), ""]
    if "baselines" in facts:
        metrics = list(next(iter(facts["baselines"].values())))
        lines += ["Answers that need no model, on the same data:", ""]
        lines += _table(["answer", *metrics], [[name, *(_number(v[m]) for m in metrics)] for name, v in facts["baselines"].items()]) + [""]
    if "cross_validation" in facts:
        lines += [f"Cross-validation over all runs in 5 folds, each run judged by a network that never saw it (float). {facts.get('cross_validation_note', '')}".rstrip(), ""]
        rows = [[name, *(_number(v[m]) for m in ("accuracy", "balanced_accuracy", "mean_over_runs"))] for name, v in facts["cross_validation"].items()]
        lines += _table(["version", "accuracy", "balanced accuracy", "mean over runs"], rows) + [""]
        last = list(facts["cross_validation"])[-1]
        lines += [f"Accuracy of each run, {last}: " + ", ".join(f"{run} {a:.2f}" for run, a in sorted(facts["cross_validation"][last]["per_run"].items())) + ".", ""]
    lines += ["All figures but those of the cross-validation: " if "cross_validation" in facts else "All figures: ", ""]
    lines[-2] += facts["oracle"]
    lines += ["## Cost on the engine", "", *_engine(facts["versions"]), ""]
    if "labels" in facts:
        for name, version in facts["versions"].items():
            lines += [f"## Confusion, {name}, int8", "", *_confusion(facts["labels"], version["int8"]["confusion"]), ""]
    lines += ["## Rebuild", "", "```", *facts["rebuild"], "```", ""]
    return "\n".join(lines)


def _table(head, rows):
    return ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)] + ["| " + " | ".join(map(str, r)) + " |" for r in rows]


def _figures(versions):
    first = next(iter(versions.values()))
    metrics = [m for m, v in first["int8"].items() if not isinstance(v, (list, dict))]
    head = ["version", "parameters", "file bytes"] + [f"{m} {kind}" for m in metrics for kind in ("float", "int8")]
    rows = []
    for name, v in versions.items():
        cells = [_number(v[kind][m]) for m in metrics for kind in ("float", "int8")]
        rows.append([name, f"{v['parameters']:,}", f"{v['bytes']:,}", *cells])
    return _table(head, rows)


def _engine(versions):
    """Rows that `python models/card.py` fills from `sanderling compile --json`."""
    rows = []
    for name, v in versions.items():
        for target, e in v.get("engine", {"cortex-m4": {}}).items():
            known = [f"{e[k]:,}" if k in e else "not measured yet" for k in ("macs", "arena_bytes", "flash_bytes")]
            rows.append([name, target, *known])
    return ["<!-- filled by `python models/card.py`; from `sanderling compile --json` -->", ""] + _table(
        ["version", "target", "MACs", "arena bytes", "flash bytes"], rows)


def _confusion(labels, confusion):
    return ["Rows: truth; columns: answer.", ""] + _table(["", *labels], [[l, *row] for l, row in zip(labels, confusion)])


def _number(value):
    return f"{value:.4f}" if isinstance(value, float) else f"{value:,}"


def summary(cards):
    """A table over all models for the index: accuracy (or IoU) in float and int8, and what it costs on the engine."""
    rows = []
    for facts in cards:
        for name, v in facts["versions"].items():
            metric = next(iter(v["int8"]))
            cost = v.get("engine", {}).get("cortex-m4", {})
            known = [f"{cost[k]:,}" if k in cost else "not measured yet" for k in ("macs", "arena_bytes", "flash_bytes")]
            rows.append([facts["name"], name, metric, _number(v["float"][metric]), _number(v["int8"][metric]), f"{v['int8']['frames']:,}", f"{v['parameters']:,}", *known])
    head = ["model", "version", "measure, held-out data", "float", "int8", "frames", "parameters", "MACs", "arena, Cortex-M4", "flash, Cortex-M4"]
    return "\n".join(_table(head, rows))
