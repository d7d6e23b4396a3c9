"""The table and the picture of benchmarks/gpu.py."""
import platform
import statistics
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.ceilings import least_bytes
from benchmarks.flops import direct_flops

HALF, WHOLE = 2, 4                     # bytes of a number
UNITS = {False: ("T", 1e12), True: ("G", 1e9)}


def report(turns, problem, ceilings, kernels, command, cpu):
    """The page, in Markdown."""
    arch, size, n, batch = problem
    flops, (prefix, unit) = direct_flops(arch, size, batch), UNITS[cpu]
    lines = [f"# An epoch on the {'CPU' if cpu else 'GPU'}", "", circumstances(cpu), "", f"    {command}", "",
             f"Widths {arch.widths}, blocks {arch.blocks}, {size}x{size}, {n:,} images in batches of {batch}: "
             f"{n / batch:.1f} steps an epoch, {flops / 1e9:.1f} GFLOP a step. Every step gathers, crops and mirrors "
             "its images, and remembers its predictions.", "",
             "Measured in the same run: " + (", ".join(
                 f"{name} {rate / unit:.3g} {prefix}{'B/s' if name == 'copy' else 'FLOP/s'}"
                 for name, rate in ceilings.items()) or "no ceilings, they failed"),
             "",
             f"| | s/epoch, median [fastest .. slowest turn] | images/s | {prefix}FLOP/s | of the matrix product "
             "| of the floor | GB | set up, s | gradient off by, float64; as timed |", "|---" * 9 + "|"]
    lines += [row(peer, problem, flops, ceilings, unit) for peer in turns]
    lines += ["", "The floor is the longer of two times: the arithmetic at the rate of the matrix product, and reading "
              "and writing every activation once for each pass of each convolution at the rate of the copy. Set up: "
              "import, data, check, compilation and warm-up, not in the other numbers. GB: the most that the peer's "
              "allocator held.", ""]
    return "\n".join(lines + (profiled(kernels) if kernels else []))


def row(peer, problem, flops, ceilings, unit):
    """One line of the table."""
    if peer.failed or not peer.seconds:
        return f"| {peer.name} | failed: {peer.failed or 'its turn has not come'} |" + " |" * 7
    arch, size, n, batch = problem
    step, ceiling = statistics.median(peer.seconds), ceilings.get(peer.ceiling)
    low, middle, high = (f"{seconds * n / batch:.3f}" for seconds in (min(peer.seconds), step, max(peer.seconds)))
    floor = None if ceiling is None else max(
        flops / ceiling, least_bytes(arch, size, batch, HALF if peer.ceiling == "bf16" else WHOLE) / ceilings["copy"])
    return (f"| {peer.name} | **{middle}** [{low} .. {high}] | {batch / step:,.0f} | {flops / step / unit:.3g} "
            f"| {'' if ceiling is None else f'{100 * flops / step / ceiling:.1f} %'} "
            f"| {'' if floor is None else f'{100 * floor / step:.0f} %'} | {peer.memory:.2f} | {peer.setup:.0f} "
            f"| {peer.off[0]:.0e}; {peer.off[1]:.0e} |")


def profiled(kernels):
    """The time of this project's step, kernel by kernel."""
    busy = sum(seconds for _, _, seconds in kernels)
    launches = sum(calls for _, calls, _ in kernels)
    lines = ["## Where a step of ours goes", "",
             f"{launches:.0f} launches, in which the device is busy for {1e3 * busy:.2f} ms.", "",
             "| kernel | launches a step | ms a step | |", "|---|---|---|---|"]
    return lines + [f"| `{name[:90]}` | {calls:.1f} | {1e3 * seconds:.3f} | {100 * seconds / busy:.1f} % |"
                    for name, calls, seconds in kernels[:25]] + [""]


def picture(turns, problem, path):
    """Seconds for an epoch as bars, fastest and slowest turn as whiskers."""
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    shown = [peer for peer in turns if peer.seconds and not peer.failed][::-1]
    steps = problem.n / problem.batch
    figure, axes = plt.subplots(figsize=(9, 1 + 0.4 * len(turns)))
    for place, peer in enumerate(shown):
        low, middle, high = (steps * t for t in (min(peer.seconds), statistics.median(peer.seconds), max(peer.seconds)))
        colour = "tab:blue" if peer.name.startswith("ours") else "0.7"
        axes.barh(place, middle, xerr=[[middle - low], [high - middle]], color=colour)
        axes.text(high, place, f"  {middle:.2f} s", va="center")
    axes.set_yticks(range(len(shown)), [peer.name for peer in shown])
    axes.set_xlabel(f"seconds for an epoch of {problem.n:,} images")
    axes.margins(x=0.12)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def circumstances(cpu):
    """One line: when, on what, with which versions."""
    found = [str(date.today()), processor() if cpu else gpu_name(), f"Python {platform.python_version()}"]
    versions = {name: installed(name) for name in ("numpy", "cupy-cuda12x", "cupy-cuda13x", "torch")}
    return ", ".join(found + [f"{name} {number}" for name, number in versions.items() if number]) + "."


def processor():
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def gpu_name():
    try:
        import cupy
        return cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    except Exception:                  # no CuPy, or no GPU: the page is written without the name
        return "an unknown GPU"


def installed(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return None
