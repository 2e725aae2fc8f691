"""``fedswarm devices``: make, import and look at populations of devices."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from fedswarm.cli.options import AsJson
from fedswarm.cli.output import columns, result, result_json, say, size
from fedswarm.cli.sparkline import sparkline
from fedswarm.devices.capacity_records import MOBILENET_V2_WEIGHTS, CapacityUnits, ComputationUnit
from fedswarm.devices.default_population import default_population
from fedswarm.devices.plots import population_plot, week_plot
from fedswarm.devices.population import Population
from fedswarm.devices.population_file import load_population, save_population
from fedswarm.devices.profile import TEXT_FIELDS
from fedswarm.devices.profile_import import ImportSettings, import_profiles
from fedswarm.devices.statistics import (
    DAY_BINS,
    PERCENTILES,
    WEEK_DAYS,
    DeviceWeek,
    PopulationStatistics,
    describe,
    describe_week,
)
from fedswarm.devices.synthesis import TraceDensity, synthesize_population
from fedswarm.errors import DataError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EXCLUDED_SHOWN: Final = 20

OUT: Final = typer.Option("--out", metavar="FILE", help="the population file to write (.safetensors)")

app = typer.Typer(help="Make, import and look at populations of devices.", no_args_is_help=True)


@app.command()
def synthesize(
    clients: Annotated[int, typer.Option(help="devices to make")] = 1000,
    seed: Annotated[int, typer.Option(help="the same seed gives the same file")] = 2026,
    network_points: Annotated[int, typer.Option(help="network samples of each device")] = 200,
    compute_points: Annotated[int, typer.Option(help="compute samples of each device")] = 48,
    out: Annotated[Path | None, OUT] = None,
    as_json: AsJson = False,
) -> None:
    """Draw devices from published frequencies and write them to a file, devices_CLIENTS_SEED.safetensors by default."""
    density = TraceDensity(network_points, compute_points)
    out = out or Path(f"devices_{clients}_{seed}.safetensors")
    _write(out, synthesize_population(seed, clients, density), as_json=as_json)


@app.command(name="import")
def import_devices(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="pickles of device profiles")],
    out: Annotated[Path, OUT],
    behaviour: Annotated[
        Path | None, typer.Option(help="FedScale's client_behave_trace, for a client_device_capacity")
    ] = None,
    clients: Annotated[int | None, typer.Option(min=1, help="read only so many devices of each file")] = None,
    samples_per_second: Annotated[
        bool, typer.Option("--samples-per-second", help="computation is a speed (Oort), not ms a sample (FedScale)")
    ] = False,
    reference_weights: Annotated[
        int, typer.Option(min=1, help="weights of the model that takes the time the file says")
    ] = MOBILENET_V2_WEIGHTS,
    as_json: AsJson = False,
) -> None:
    """Turn the pickles in circulation into a population file. Nothing in them is executed."""
    unit: ComputationUnit = "samples-per-second" if samples_per_second else "ms-per-sample"
    settings = ImportSettings(behaviour, CapacityUnits(unit, reference_weights), clients)
    imported = import_profiles(files, settings)
    for line in imported.excluded[:EXCLUDED_SHOWN]:
        say(f"left out: {line}")
    if len(imported.excluded) > EXCLUDED_SHOWN:
        say(f"... and {len(imported.excluded) - EXCLUDED_SHOWN} more; the file tells all of them")
    population = Population.from_profiles(imported.profiles, imported.excluded, imported.provenance)
    say(f"{len(population)} devices imported, {len(imported.excluded)} left out")
    _write(out, population, as_json=as_json)


@app.command()
def inspect(
    file: Annotated[Path | None, typer.Argument(help="a population file; the shipped one when absent")] = None,
    device: Annotated[int | None, typer.Option(help="one device's week instead of all devices")] = None,
    plot: Annotated[Path | None, typer.Option(metavar="OUT.PNG", help="draw it into this file, too")] = None,
    as_json: AsJson = False,
) -> None:
    """Show how fast the devices of a population are and when they are online."""
    population = default_population() if file is None else load_population(file)
    if device is None:
        statistics = describe(population)
        figure = population_plot(population, statistics) if plot else None
        _show_population(population, statistics, as_json=as_json)
    else:
        week = describe_week(population, device)
        figure = week_plot(device, week) if plot else None
        _show_device(population, device, week, as_json=as_json)
    if figure is not None and plot is not None:
        _save(figure, plot)


def _write(out: Path, population: Population, *, as_json: bool) -> None:
    save_population(out, population)
    if as_json:
        result_json(
            {
                "file": str(out),
                "devices": len(population),
                "excluded": len(population.excluded),
                "bytes": out.stat().st_size,
                "provenance": population.provenance,
            }
        )
        return
    say(f"{population.provenance}\n{len(population)} devices, {size(out.stat().st_size)}")
    result(str(out))


def _show_population(population: Population, statistics: PopulationStatistics, *, as_json: bool) -> None:
    if as_json:
        result_json(_population_facts(population, statistics))
        return
    say(_printable(population.provenance))
    result(
        f"{statistics.devices} devices, {statistics.excluded} left out, {statistics.never_online} never online; "
        f"{statistics.network_samples} network and {statistics.compute_samples} compute samples"
    )
    rows = [
        ("percentile of the devices", *map(str, PERCENTILES)),
        ("compute (GFLOP/s)", *_rounded(statistics.compute_gflops)),
        ("bandwidth (Mb/s)", *_rounded(statistics.bandwidth_mbps)),
        ("time online (%)", *_rounded(statistics.online_percent)),
    ]
    result(columns(rows))
    result(f"\nonline over 48 hours, {100 * statistics.mean_online_share:.1f} % on average (space: 0 %, @: 100 %)")
    result(f"|{sparkline(statistics.online_share, most=1.0)}|")
    result("0 h" + "24 h".rjust(DAY_BINS) + "48 h".rjust(DAY_BINS - 1))


def _show_device(population: Population, device: int, week: DeviceWeek, *, as_json: bool) -> None:
    profile = population.profile(device)
    if as_json:
        result_json(
            {
                "device": device,
                **{field: getattr(profile, field) for field in TEXT_FIELDS},
                "cpu_flops": profile.cpu_flops,
                "gpu_flops": profile.gpu_flops,
                "peak_throughput_mbps": profile.peak_throughput_mbps,
                "week": dataclasses.asdict(week),
            }
        )
        return
    result(
        f"device {device}: CPU {profile.cpu_flops / 1e9:g} GFLOP/s, GPU {profile.gpu_flops / 1e9:g} GFLOP/s, "
        f"link {profile.peak_throughput_mbps:g} Mb/s"
    )
    told = [(field.replace("_", " "), _printable(getattr(profile, field))) for field in TEXT_FIELDS]
    if known := [(field, text) for field, text in told if text]:
        result(columns(known))
    _show_days("online (@: all of the half hour)", week.online_share, 1.0)
    _show_days(f"compute (@: {max(week.compute_gflops):.3g} GFLOP/s)", week.compute_gflops)
    _show_days(f"bandwidth (@: {max(week.bandwidth_mbps):.3g} Mb/s)", week.bandwidth_mbps)


def _show_days(title: str, values: tuple[float, ...], most: float | None = None) -> None:
    most = max(values) if most is None else most
    result(f"\n{title}")
    for day in range(WEEK_DAYS):
        result(f"day {day + 1} |{sparkline(values[day * DAY_BINS : (day + 1) * DAY_BINS], most)}|")


def _population_facts(population: Population, statistics: PopulationStatistics) -> dict[str, Any]:
    return {
        "provenance": population.provenance,
        "percentiles": PERCENTILES,
        **dataclasses.asdict(statistics),
        "mean_online_share": statistics.mean_online_share,
    }


def _printable(text: str) -> str:
    """A text out of a file as something that does nothing to a terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _rounded(values: tuple[float, ...]) -> list[str]:
    return [f"{value:.3g}" for value in values]


def _save(figure: Figure, path: Path) -> None:
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise DataError(f"cannot draw {path}: {error}") from None
    say(f"drawn: {path}")
