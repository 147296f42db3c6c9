"""The pictures of docs/: what a call costs, and what is kept under each fault, ours beside theirs.

    python benchmarks/peers.py --json peers.json
    python benchmarks/plot.py peers.json              # writes docs/images/overhead.png and docs/images/faults.png

Needs matplotlib, which the extra `bench` installs.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

from peers import beyond_bare

OURS, THEIRS = "#2a6fbb", "#b9bec6"


def added_us(result: Dict[str, Any]) -> Dict[str, Dict[str, Dict[str, Any]]]:
    """By column, by peer: the CPU time that it adds to a call of bare LiteLLM, if it delivered everything."""
    speeds = result["speed"]
    return {
        column: {
            name: beyond_bare(speeds, name, column)
            for name, samples in speeds.items()
            if name not in ("bare", "noop") and all(sample[column]["kept"] == result["calls"] for sample in samples)
        }
        for column in result["columns"]
    }


def kept_percent(peers: Dict[str, Dict[str, int]]) -> Dict[str, float]:
    """The share of calls that each peer keeps under one fault."""
    return {name: 100 * calls["kept"] / calls["sent"] for name, calls in peers.items()}


def draw_overhead(result: Dict[str, Any], file: Path) -> None:
    added = added_us(result)
    names = [name for name in result["speed"] if any(name in peers for peers in added.values())]
    height = 0.8 / len(names)
    figure, axes = _figure(1.5 + 0.25 * len(names) * len(added))
    for row, peers in enumerate(added.values()):
        for number, (name, compared) in enumerate(peers.items()):
            low, high = compared["range"]
            middle = compared["beyond"]
            place = row + height * (number - (len(peers) - 1) / 2)
            spread = [[middle - low], [high - middle]]
            bars = axes.barh(place, middle, height * 0.9, xerr=spread, ecolor="#555", capsize=2, color=_color(name))
            axes.bar_label(bars, [f"{name} {middle:,.0f}"], padding=3, fontsize=8)
    axes.set_yticks(range(len(added)), list(added))
    axes.invert_yaxis()
    rounds = len(result["speed"]["bare"])
    axes.set_xlabel(
        f"CPU time added to a call, microseconds: median and spread of {rounds} round{'s' * (rounds > 1)}\n"
        "(only those that delivered everything)"
    )
    _finish(figure, axes, result, file)


def draw_faults(result: Dict[str, Any], file: Path) -> None:
    faults: List[str] = list(result["faults"])
    names: List[str] = list(result["faults"][faults[0]])
    height = 0.8 / len(names)
    figure, axes = _figure(1.5 + 0.25 * len(names) * len(faults))
    for number, name in enumerate(names):
        shares = [kept_percent(result["faults"][fault])[name] for fault in faults]
        places = [row + height * (number - (len(names) - 1) / 2) for row in range(len(faults))]
        bars = axes.barh(places, shares, height * 0.9, color=_color(name))
        axes.bar_label(bars, [f"{name} {share:.0f}%" for share in shares], padding=3, fontsize=8)
    axes.set_yticks(range(len(faults)), faults)
    axes.invert_yaxis()
    axes.set_xlim(0, 130)
    axes.set_xticks(range(0, 101, 20))
    axes.set_xlabel("calls kept, percent")
    _finish(figure, axes, result, file)


def _color(name: str) -> str:
    return OURS if name == "honeyhive" else THEIRS


def _figure(height: float) -> Any:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(8, height))


def _finish(figure: Any, axes: Any, result: Dict[str, Any], file: Path) -> None:
    env = result["environment"]
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(
        f"{result['calls']:,} calls, LiteLLM {env['litellm']}, Python {env['python']}, {env['cores']} cores", fontsize=9
    )
    axes.margins(x=0.12)
    figure.tight_layout()
    file.parent.mkdir(exist_ok=True)
    figure.savefig(file, dpi=150)


def main(arguments: Optional[Sequence[str]] = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peers", metavar="FILE", help="what `peers.py --json FILE` has written")
    parser.add_argument(
        "--to",
        default=str(Path(__file__).parents[1] / "docs" / "images"),
        help="where the pictures go (docs/images)",
    )
    options = parser.parse_args(arguments)
    result = json.loads(Path(options.peers).read_text(encoding="utf-8"))
    draw_overhead(result, Path(options.to) / "overhead.png")
    if result["faults"]:
        draw_faults(result, Path(options.to) / "faults.png")


if __name__ == "__main__":
    main()
