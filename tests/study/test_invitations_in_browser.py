"""An invited participant opens the link in a browser, reads aloud, and the scores arrive."""

import re
from pathlib import Path

import pandas as pd
from playwright.sync_api import expect

from support.browser import chromium

RECORDED_S = 18
ARTEFACTS = Path(__file__).parents[2] / "artefacts"


def test_a_participant_records_in_the_browser_and_the_scores_are_in_the_parquet_file(
    make_sandbox, make_study, quick, speech, as_wav, tmp_path
) -> None:
    voice = tmp_path / "voice.wav"
    voice.write_bytes(as_wav(speech))
    people = pd.DataFrame(
        {
            "user_label": ["P01", "P02"],
            "date_of_birth": "1990-05-17",
            "birth_sex": "FEMALE",
            "language": "en-GB",
        }
    )
    sandbox = make_sandbox()
    study = make_study(sandbox)
    invitations = study.invite(people, constants={"recording": ""}, progress=False)
    microphone = (
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={voice}",
    )
    with chromium(*microphone) as browser:
        page = browser.new_page(viewport={"width": 390, "height": 800})
        page.goto(invitations["link"][0])
        ARTEFACTS.mkdir(exist_ok=True)
        page.screenshot(path=ARTEFACTS / "activity.png")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.get_by_role("button", name="Start").click()
        recording = re.compile(rf"Recording: {RECORDED_S} s")
        expect(page.get_by_role("status")).to_have_text(recording, timeout=60_000)
        page.get_by_role("button", name="Stop and send").click()
        expect(page.get_by_role("heading", name="Thank you")).to_be_visible(timeout=30_000)
        page.goto(invitations["link"][0])
        expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
    (received,) = sandbox.log.puts[invitations["model_run_id"][0]]
    assert received.media_type.startswith("audio/webm")
    results = study.submit(ask_invited=True, progress=False, **quick)
    assert results["outcome"].tolist() == ["scored", "invited"], results["error_reason"][0]
    stored = pd.read_parquet(study.to_parquet(tmp_path / "scores.parquet"))
    expected = sandbox.expected_scores(received.sha256, "P01")
    assert stored["mental_strain"][0] == expected["mental_strain"]
    assert stored["source"][0] == "sandbox"
    assert sandbox.log.violations == []
