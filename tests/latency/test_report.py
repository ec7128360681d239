"""What is printed of samples that are known."""

from __future__ import annotations

import subprocess
import sys

import pytest
from rich.console import Console

from kemu.errors import UsageError
from kemu.latency import report
from kemu.latency.plot import check_plot
from kemu.latency.sampler import PairRun, Series
from kemu.latency.topology import Near


def series(samples, cores=(0, 1), measure="unpark", interval_ns=0, overhead_ns=0.0):
    one = Series(measure, cores, Near.SAME_NODE, interval_ns)
    one.add(samples, 0, overhead_ns)
    one.floors.append(500.0)
    return one


def text_of(renderable, width=80):
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(renderable)
    return console.export_text()


def test_percentiles_are_the_samples():
    """To three significant digits."""
    one = series(list(range(1000, 101_000, 1000)))
    assert one.percentile(50) == pytest.approx(50_000, rel=2e-3)
    assert one.percentile(99) == pytest.approx(99_000, rel=2e-3)
    assert one.over_floor == pytest.approx(100, rel=2e-3)


def test_the_clock_is_taken_out():
    """Of each sample, and never below one nanosecond."""
    assert series([1000, 20], overhead_ns=50).histogram.get_max_value() == 950
    assert series([1000, 20], overhead_ns=50).histogram.get_min_value() == 1


def test_coordinated_omission():
    """A stall of ten intervals counts as ten samples that should have begun meanwhile."""
    assert series([1000, 10_000_000], interval_ns=1_000_000).count == 11
    assert series([1000, 10_000_000]).count == 2


def test_table_fits_a_terminal():
    """No figure of the table is cut at 80 columns."""
    shown = text_of(report.table([series([999_000_000] * 9, (10, 11), "completion")]))
    assert "…" not in shown
    assert shown.count("999ms") == 6    # min, four percentiles, max


@pytest.mark.parametrize(("ns", "shown"), [(5, "0.01"), (9_994, "9.99"), (99_940, "99.9"), (123_456, "123"),
                                           (9_999_000, "9,999"), (12_345_678, "12ms"), (10**9, "1.00s"),
                                           (61 * 10**9, "61.0s"), (None, "-")])
def test_us(ns, shown):
    """Microseconds, until they are too many."""
    assert report.us(ns) == shown


def test_histogram_counts_everything():
    """Each sample is in one bin; with a limit, above it or in one."""
    one = series([1500, 1500, 7000, 90_000])
    lines = report.histogram(one).splitlines()[1:]
    assert sum(int(line.split()[3].replace(",", "")) for line in lines) == 4
    limited = report.histogram(one, 10).splitlines()
    assert len(limited) == 12
    assert limited[-1].endswith("and above: 1")


def test_matrix_of_64_cores():
    """All 2,016 pairs are in the matrix, each on both sides of the diagonal."""
    runs = [PairRun((a, b), series={"unpark": series([1000 * (b - a)], (a, b))})
            for a in range(64) for b in range(a + 1, 64)]
    shown = text_of(report.matrix(runs, "unpark"), width=1000)
    rows = [line.split() for line in shown.splitlines()[2:]]
    assert len(rows) == 128
    at = {row[0]: row[1:] for row in rows[::2]}
    assert at["0"][0] == "-"
    order = shown.splitlines()[1].split()[1:]
    assert at["0"][order.index("63")] == at["63"][order.index("0")] == "63.0"


def test_the_matrix_has_the_floor_of_each_pair():
    """In the line below the p50, in microseconds."""
    runs = [PairRun(cores, series={"unpark": series([4000], cores)}) for cores in ((0, 1), (0, 2), (1, 2))]
    p50, floor = text_of(report.matrix(runs, "unpark")).splitlines()[-6:-4]    # the title is folded
    assert (p50.split(), floor.split()) == (["0", "-", "4.00", "4.00"], ["floor", "-", "0.50", "0.50"])


def test_json_holds_what_compare_reads():
    """The medians of the rounds, and under which options they were taken."""
    said = report.as_json([PairRun((0, 1), series={"unpark": series([1000])})], interval_us=0, poll_us=200)
    (one,) = said["series"]
    assert (one["rounds_ns"], one["cores"], one["poll_us"]) == ([1000], [0, 1], 200)


PLOT = """
import sys
from pathlib import Path
from kemu.latency.plot import check_plot, plot
from kemu.latency.sampler import PairRun
from tests.latency.test_report import series

path, cores = Path(sys.argv[1]), int(sys.argv[2])
runs = [PairRun((a, b), series={name: series([1000 * (a + b + 1)] * 9, (a, b), name)
                                for name in ("unpark", "park", "ipi", "stop")})
        for a in range(cores) for b in range(a + 1, cores)]
check_plot(path)
plot(runs, path, "a host")
"""


@pytest.mark.parametrize("suffix", [".png", ".svg"])
@pytest.mark.parametrize("cores", [2, 5])
def test_plot(tmp_path, suffix, cores):
    """A picture of one pair, and of all pairs of five cores, with more measures than one row holds."""
    path = tmp_path / f"plot{suffix}"
    # A process of its own: matplotlib keeps its fonts' files open for as long as it lives.
    subprocess.run([sys.executable, "-c", PLOT, path, str(cores)], check=True, timeout=100)
    assert path.stat().st_size > 1000


def test_a_plot_of_no_format_is_refused(tmp_path):
    """Before the run."""
    with pytest.raises(UsageError, match=r"\.svg"):
        check_plot(tmp_path / "plot.doc")
