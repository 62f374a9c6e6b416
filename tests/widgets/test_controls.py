"""Controls keep silent about what the front end knows already."""

import ipywidgets
import pytest

from helios_research.widgets.base import controls

KINDS = [name for name in vars(controls) if name[0].isupper() and name != "Any"]


@pytest.mark.parametrize("name", KINDS)
def test_a_control_does_not_echo_and_is_otherwise_ipywidgets_own(name: str) -> None:
    ours, theirs = getattr(controls, name)(), getattr(ipywidgets, name)()
    assert ours.trait_metadata("description", "echo_update", default=True) is False
    assert theirs.trait_metadata("description", "echo_update", default=True) is not False
    assert ours.get_state().keys() == theirs.get_state().keys()
    for part in ("_model_name", "_model_module", "_view_name", "_view_module"):
        assert getattr(ours, part) == getattr(theirs, part)


def test_a_change_from_the_front_end_is_not_sent_back() -> None:
    assert methods_sent(controls.Text) == []
    assert methods_sent(ipywidgets.Text) == ["echo_update"]


def methods_sent(kind: type) -> list[str]:
    """What a control sends when a person types."""
    sent: list[str] = []
    text = kind()
    text._send = lambda message, **_: sent.append(message["method"])
    text.set_state({"value": "typed"})
    return sent
