"""Plots the samples of a long run: throughput, latency, store and memory over time, in four panels."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.checkpoint import Sample

_SIZE = (10.0, 11.0)  # inches: four panels of a page's width
_DPI = 110


def draw(samples: Sequence[Sample], path: Path, *, title: str) -> None:
    """Writes the plot as PNG."""
    with mpl.rc_context({"font.size": 9, "axes.grid": True, "grid.alpha": 0.3, "lines.linewidth": 1.0}):
        figure = Figure(figsize=_SIZE, layout="constrained")
        throughput, latency, store, memory = figure.subplots(4, 1, sharex=True)
        figure.suptitle(title)
        _lines(throughput, samples, {"inquiries_per_second": "inquiries", "lookups_per_second": "lookups"})
        throughput.set_ylabel("per second")
        _latencies(latency, samples)
        _store(store, samples)
        _lines(memory, samples, {"rss_mib": "the broker's largest process, without pages of mapped files"})
        memory.set_ylabel("MiB")
        memory.set_xlabel("seconds")
        figure.savefig(path, dpi=_DPI)


def _lines(axes: Axes, samples: Sequence[Sample], labels: dict[str, str], *, style: str = "-") -> None:
    seconds = [sample.seconds for sample in samples]
    for name, label in labels.items():
        axes.plot(seconds, [getattr(sample, name) for sample in samples], style, label=label)
    axes.set_ylim(bottom=0)
    axes.legend(loc="best")


def _latencies(axes: Axes, samples: Sequence[Sample]) -> None:
    names = [f"{kind}_{part}_ms" for kind in ("bulk", "interactive") for part in ("p50", "p99")]
    _lines(axes, samples, {name: name.removesuffix("_ms").replace("_", " ") for name in names})
    axes.set_ylabel("ms to the last report")


def _store(axes: Axes, samples: Sequence[Sample]) -> None:
    _lines(axes, samples, {"store_mib": "on disk"})
    axes.set_ylabel("MiB")
    records = axes.twinx()
    _lines(records, samples, {"records": "subjects"}, style="--")
    records.grid(visible=False)
    records.legend(loc="lower right")
    records.set_ylabel("subjects")
