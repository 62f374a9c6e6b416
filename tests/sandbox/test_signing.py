"""An upload URL permits one path for a while."""

from urllib.parse import parse_qsl

import pytest

from helios_research.sandbox.core import Refusal, Signer

NOW = 1_795_000_000.0


@pytest.fixture
def signer() -> Signer:
    return Signer(lifetime_s=3_600.0)


def signed(signer: Signer, path: str) -> dict[str, str]:
    return dict(parse_qsl(signer.query(path, NOW)))


def test_a_signature_is_good_for_its_path_until_it_expires(signer):
    query = signed(signer, "/recordings/a")
    assert signer.refusal("/recordings/a", query, NOW) is None
    assert signer.refusal("/recordings/a", query, NOW + 3_599) is None
    assert signer.refusal("/recordings/a", query, NOW + 3_600) is Refusal.EXPIRED


def test_a_signature_is_no_good_for_another_path(signer):
    assert signer.refusal("/recordings/b", signed(signer, "/recordings/a"), NOW) is Refusal.WRONG


@pytest.mark.parametrize("name", ["X-Amz-Date", "X-Amz-Expires", "X-Amz-Signature"])
def test_no_part_of_it_can_be_changed_or_left_out(signer, name):
    query = signed(signer, "/recordings/a")
    longer = query | {name: query[name].replace("3600", "9999") + "0"}
    assert signer.refusal("/recordings/a", longer, NOW) is Refusal.WRONG
    del query[name]
    assert signer.refusal("/recordings/a", query, NOW) is Refusal.WRONG


def test_another_sandbox_does_not_take_it(signer):
    query = signed(signer, "/recordings/a")
    assert Signer(lifetime_s=3_600.0).refusal("/recordings/a", query, NOW) is Refusal.WRONG


def test_a_signature_that_is_not_ascii_is_refused_like_any_other(signer):
    query = signed(signer, "/recordings/a") | {"X-Amz-Signature": "é"}
    assert signer.refusal("/recordings/a", query, NOW) is Refusal.WRONG


def test_the_secret_is_not_shown(signer):
    assert "secret" not in repr(signer)
