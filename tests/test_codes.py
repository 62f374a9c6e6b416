"""Every error code that a recording can end with."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from helios_research import codes
from helios_research.codes import HeliosCode, explain

OURS = sorted(
    {
        value
        for name, value in vars(codes).items()
        if name.isupper() and not name.startswith("_") and isinstance(value, str)
    }
)


def test_helios_codes_are_those_of_the_contract(request: pytest.FixtureRequest) -> None:
    contract = yaml.safe_load((request.config.rootpath / "tests/openapi.yaml").read_text())
    assert set(HeliosCode) == set(contract["components"]["schemas"]["ErrorCode"]["enum"])


SENTENCES = {
    "ERR_RECORDING_INVALID_FORMAT": (
        "The file is not audio in one of the six formats (FLAC, MP3, MP4, Ogg, WebM, WAV).",
        "Convert the recording and submit it again as a new file.",
    ),
    "ERR_RECORDING_TOO_SHORT": (
        "There are fewer than 10 seconds of speech (speech, not sound).",
        "Record at least 10 seconds of speech.",
    ),
    "ERR_RECORDING_TOO_LONG": (
        "The recording is longer than 3 minutes.",
        "Cut it to less than 3 minutes and submit the shorter file.",
    ),
    "ERR_TRANSCRIPTION_FAILED": (
        "No speech was found.",
        "Listen to the file; if the microphone was off or muted, record again.",
    ),
    "ERR_INTERNAL": (
        "The service failed each time it tried.",
        "Submit again later; if the error remains, report the model run's id to thymia.",
    ),
    "TIMED_OUT": (
        "Helios gave no result in the allowed time.",
        "Submit again: the run in progress is asked for, nothing is sent twice.",
    ),
    "METADATA_CHANGED": (
        "The manifest differs from what was sent with this recording.",
        "Correct the manifest, or submit with resend_changed=True to pay for a new run. An invitation "
        "is replaced by study.invite(cohort, resend=[recording_id]).",
    ),
    "INVITATION_UNFINISHED": (
        "The invitation was begun, and its link never came.",
        "Invite again, with the same line: study.invite(cohort, …) or `helios-research invite`.",
    ),
    "INVITED_AND_RECORDED": (
        "The row has a recording, and its participant was invited to make one. What the invitation "
        "brings counts, and the file was not sent.",
        "Remove the file from the row, or give it a row and a recording_id of its own.",
    ),
    "INVALID_ROW": (
        "The row itself is damaged: it has too many cells, or values that were never saved.",
        "Correct the row as its error_reason says, then submit again.",
    ),
    "INVALID_TAG": (
        "A tag of the row cannot be sent.",
        "Correct the tag as its error_reason says, then submit again.",
    ),
    "INVALID_RECORDING_CHANGED": (
        "The file changed, or could no longer be read, between its check and its upload; it was not sent.",
        "Make sure that the file is there and nothing writes to it, then submit again.",
    ),
    "INVALID_DUPLICATE_AUDIO": (
        "Another row has the same audio with other metadata.",
        "Find out whose recording it is and remove it from the other row.",
    ),
    "INVALID_WITHDRAWN": (
        "The participant has withdrawn from this study, so the row was not sent.",
        "Remove the row from the manifest; if it was a mistake, use study.readmit(user_label) or `helios-research readmit DIR LABEL`.",
    ),
    "LEFT_OUT": (
        "The researcher left the recording out after listening to it.",
        "To send it after all, submit with the verdict send: see study.borderline().",
    ),
    "RESULT_GONE": (
        "The service no longer has the run: its data was deleted before the answer was fetched.",
        "The scores are no longer available; to pay for a new run, submit the recording in another study folder.",
    ),
    "UNREACHABLE": (
        "The service did not answer.",
        "Check the network and submit again: it continues where it stopped.",
    ),
    "RECORDING_UNREACHABLE": (
        "The recording could not be read at that moment: its server or network drive did not give it.",
        "Submit again; if the error remains, do what error_reason says.",
    ),
    "UNREADABLE_ANSWER": (
        "An answer came, but not in a form that Helios uses.",
        "Submit again: it continues where it stopped. If the error remains, find out whether a proxy or a login page answers in place of Helios.",
    ),
    "RESULT_UNUSABLE": (
        "Helios finished the run, but its answer has no score that can be used.",
        "Report the model run's id to thymia. What Helios answered is kept in the study; to pay for a "
        "new run, submit the recording in another study folder.",
    ),
    "UNKNOWN_STATUS": (
        "The run has a status that Helios does not document.",
        "Submit again: the run is asked for, nothing is sent twice. If the status remains, report the "
        "model run's id to thymia.",
    ),
    "ANSWER_MIXED_UP": (
        "An answer belonged to another recording or participant, so it was not used.",
        "Submit again if the row is pending. If the error remains, find out whether a cache or a "
        "proxy repeats old answers, and report the model run's id to thymia.",
    ),
    "INVALID_DATE_OF_BIRTH": (
        "The manifest's date_of_birth cannot be used.",
        "Correct the row as its error_reason says, then submit again.",
    ),
    "HTTP_422": (
        "Helios did not accept the metadata of this recording.",
        "Correct the column that error_reason names, then submit again.",
    ),
    "HTTP_503": (
        "The service answered 503 Service Unavailable.",
        "Submit again later; if the error remains, report error_reason to thymia.",
    ),
    "HTTP_599": (
        "The service answered 599.",
        "Submit again later; if the error remains, report error_reason to thymia.",
    ),
    "ERR_NEW": (
        "An error code that this version does not know.",
        "Read error_reason, and report the model run's id to thymia if it does not help.",
    ),
}


@pytest.mark.parametrize("code", SENTENCES)
def test_a_code_is_explained_in_these_words(code: str) -> None:
    explanation = explain(code)
    assert (explanation.meaning, explanation.remedy) == SENTENCES[code]


def test_every_code_that_has_a_name_is_explained_in_words_of_its_own() -> None:
    assert {*HeliosCode, *OURS} <= SENTENCES.keys()
    assert len(set(SENTENCES.values())) == len(SENTENCES)


@given(st.one_of(st.text(), st.text().map("HTTP_{}".format), st.text().map("INVALID_{}".format)))
def test_any_text_is_explained(code: str) -> None:
    explanation = explain(code)
    assert explanation.meaning
    assert explanation.remedy
