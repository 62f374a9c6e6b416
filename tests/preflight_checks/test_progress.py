"""How far a check has come."""

from helios_research.preflight_checks.pool import chosen


def test_the_line_counts_recordings_and_how_many_are_checked_in_a_minute(monkeypatch, capsys):
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    show = chosen(True)
    for done in range(1, 31):
        now[0] += 1
        show(done, 30)
    assert capsys.readouterr().err.splitlines() == [
        "checked 1 of 30 recordings, 60 a minute",
        "checked 11 of 30 recordings, 60 a minute",
        "checked 21 of 30 recordings, 60 a minute",
        "checked 30 of 30 recordings, 60 a minute",
    ]


def test_the_caller_chooses(capsys):
    seen = []
    chosen(lambda done, total: seen.append((done, total)))(1, 2)
    chosen(False)(1, 1)
    assert seen == [(1, 2)]
    assert capsys.readouterr().err == ""
    chosen(True)(1, 1)
    assert capsys.readouterr().err.startswith("checked 1 of 1 recording, ")
