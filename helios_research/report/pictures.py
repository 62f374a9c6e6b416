"""Figures as pictures inside the page."""

from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from helios_research.report.blocks import Picture

# Sharp on a phone and in print, at a size that can be mailed.
_DPI = 200
# A figure's few colours and their edges; a third of the bytes of the full palette.
_COLOURS = 128
_CSS_PIXELS_PER_INCH = 96


def picture_of(draw: Callable[[], Any], *, alt: str, caption: str) -> Picture:
    """Draw a figure and put it into a ``data:`` URL."""
    # On the main thread of a notebook, figures would be made through pyplot and shown below the cell.
    with ThreadPoolExecutor(max_workers=1) as drawer:
        drawn = drawer.submit(draw).result()
    axes: Axes = np.ravel(drawn)[0] if isinstance(drawn, np.ndarray) else drawn
    figure = axes.get_figure(root=True)
    if not isinstance(figure, Figure):
        message = "A picture is made of a matplotlib Figure."
        raise TypeError(message)
    figure.set_dpi(_DPI)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]  # matplotlib does not type it
    pixels = Image.fromarray(_pixels(canvas)).convert("RGB")
    file = BytesIO()
    pixels.quantize(_COLOURS).save(file, format="png", optimize=True)
    width, height = figure.get_size_inches() * _CSS_PIXELS_PER_INCH
    source = f"data:image/png;base64,{b64encode(file.getvalue()).decode()}"
    return Picture(source, round(width), round(height), alt, caption)


def _pixels(canvas: FigureCanvasAgg) -> NDArray[np.uint8]:
    return np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]  # as above
