"""The two pictures of docs/cpu.md."""
import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402
from matplotlib.patches import Rectangle  # noqa: E402

BLUE, ORANGE, GREY = "#3b6ea8", "#d9822b", "#8a8a8a"


def draw_stages(found, path):
    """Bars of the stages' times, for one convolution and for a step; logarithmic,
    since they span five powers of ten."""
    figure, panels = pyplot.subplots(1, 2, figsize=(9.6, 3.4), layout="constrained", width_ratios=(3, 2))
    titles = {"convolution": "one convolution, 32x32, 32 to 32 channels, batch 128",
              "P": "a training step of PreAct ResNet-32"}
    for axes, (key, title) in zip(panels, titles.items()):
        names = list(found[key])
        milliseconds = [1e3 * found[key][name] for name in names]
        axes.barh(names, milliseconds, color=[ORANGE if "rank" in name else BLUE for name in names])
        for row, value in enumerate(milliseconds):
            axes.text(value * 1.08, row, f"{value:,.0f}" if value > 99 else f"{value:.1f}", va="center", fontsize=8)
        axes.set(xscale="log", xlabel="ms", xlim=(min(milliseconds) / 3, max(milliseconds) * 4))
        axes.set_title(title, fontsize=9)
        axes.tick_params(labelsize=8)
        axes.invert_yaxis()
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def draw_tiles(path):
    """Two tiles of the framed image, their outputs, and how a block lies in memory."""
    figure, panels = pyplot.subplots(1, 3, figsize=(9.6, 3.3), layout="constrained", width_ratios=(10, 8, 11))
    image, output, memory = panels
    grid(image, 10, 10, "x in its frame of zeros:\ntiles of 6 x 6 overlap by 2")
    image.add_patch(Rectangle((0, 0), 10, 10, fill=False, lw=1, color=GREY))
    image.add_patch(Rectangle((1, 1), 8, 8, fill=False, lw=1.6, color="black"))
    grid(output, 8, 8, "y: outputs of 4 x 4 do not.\n36 products give 16 outputs")
    for colour, left in ((BLUE, 0), (ORANGE, 4)):
        image.add_patch(Rectangle((left + .08, .08), 5.84, 5.84, color=colour, alpha=.35))
        output.add_patch(Rectangle((left + .05, .05), 3.9, 3.9, color=colour, alpha=.35))
    memory.set_title("a block in memory: row h, then pixel w,\nthen image n, then channel c", fontsize=9)
    for row in range(6):
        for pixel in range(6):
            x, y = pixel * 1.75, row * 1.2
            memory.add_patch(Rectangle((x, y), 1.6, .75, color=BLUE, alpha=.35))
            memory.text(x + .8, y + .38, "n c", ha="center", va="center", fontsize=7)
    memory.annotate("", (10.4, 7.6), (0, 7.6), arrowprops={"arrowstyle": "->", "color": GREY})
    memory.text(5.2, 8.2, "one row of memory: W · n · C numbers; B mixes 6 such rows", ha="center", fontsize=8)
    memory.set(xlim=(-.2, 10.7), ylim=(9, -.6))
    memory.axis("off")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def grid(axes, width, height, title):
    """A grid of pixels."""
    for k in range(width + 1):
        axes.plot([k, k], [0, height], color=GREY, lw=.3)
    for k in range(height + 1):
        axes.plot([0, width], [k, k], color=GREY, lw=.3)
    axes.set_title(title, fontsize=9)
    axes.set(xlim=(-.2, width + .2), ylim=(height + .2, -.2), aspect="equal")
    axes.axis("off")
