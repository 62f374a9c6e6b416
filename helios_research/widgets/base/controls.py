"""The controls that the widgets are made of: ipywidgets' own, which do not echo.

ipywidgets sends every change that a person makes back to the front end. With ipykernel 7 such an
echo can wipe out a figure that the researcher's own pyplot is drawing in another cell
(jupyterlab/jupyterlab#19719, ipython/ipykernel#1564), so ours keep silent.
"""

from typing import Any

import ipywidgets


def quiet(kind: Any) -> Any:
    """Make a kind of control that does not send changes back to where they came from."""

    def trait_metadata(self: Any, name: str, key: str, default: Any = None) -> Any:
        # Asked by ipywidgets before it echoes. A tag on the trait itself would change the
        # behaviour of the researcher's own widgets too.
        return False if key == "echo_update" else kind.trait_metadata(self, name, key, default)

    return type(kind.__name__, (kind,), {"trait_metadata": trait_metadata})


BoundedIntText = quiet(ipywidgets.BoundedIntText)
Button = quiet(ipywidgets.Button)
Checkbox = quiet(ipywidgets.Checkbox)
Dropdown = quiet(ipywidgets.Dropdown)
FloatText = quiet(ipywidgets.FloatText)
SelectMultiple = quiet(ipywidgets.SelectMultiple)
Text = quiet(ipywidgets.Text)
ToggleButtons = quiet(ipywidgets.ToggleButtons)
