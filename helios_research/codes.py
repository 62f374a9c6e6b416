"""Every error code a recording can end with: what it means and what to do about it.

Helios' own codes are kept as text wherever they travel, because a new one may appear at any
time; this catalogue only words the ones that are known.
"""

from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus


class HeliosCode(StrEnum):
    """Error codes of a model run, as the API's error reference names them."""

    INVALID_FORMAT = "ERR_RECORDING_INVALID_FORMAT"
    TOO_SHORT = "ERR_RECORDING_TOO_SHORT"
    TOO_LONG = "ERR_RECORDING_TOO_LONG"
    TRANSCRIPTION_FAILED = "ERR_TRANSCRIPTION_FAILED"
    INTERNAL = "ERR_INTERNAL"


TIMED_OUT = "TIMED_OUT"
METADATA_CHANGED = "METADATA_CHANGED"
RECORDING_CHANGED = "INVALID_RECORDING_CHANGED"
DUPLICATE_AUDIO = "INVALID_DUPLICATE_AUDIO"
WITHDRAWN = "INVALID_WITHDRAWN"
LEFT_OUT = "LEFT_OUT"
INVITATION_UNFINISHED = "INVITATION_UNFINISHED"
INVITED_AND_RECORDED = "INVITED_AND_RECORDED"
RESULT_GONE = "RESULT_GONE"
RESULT_UNUSABLE = "RESULT_UNUSABLE"
UNKNOWN_STATUS = "UNKNOWN_STATUS"
UNREACHABLE = "UNREACHABLE"
RECORDING_UNREACHABLE = "RECORDING_UNREACHABLE"
UNREADABLE_ANSWER = "UNREADABLE_ANSWER"
ANSWER_MIXED_UP = "ANSWER_MIXED_UP"


@dataclass(frozen=True, slots=True)
class Explanation:
    """What an error code means, and what the researcher can do."""

    meaning: str
    remedy: str


KNOWN = {
    HeliosCode.INVALID_FORMAT: Explanation(
        "The file is not audio in one of the six formats (FLAC, MP3, MP4, Ogg, WebM, WAV).",
        "Convert the recording and submit it again as a new file.",
    ),
    HeliosCode.TOO_SHORT: Explanation(
        "There are fewer than 10 seconds of speech (speech, not sound).",
        "Record at least 10 seconds of speech.",
    ),
    HeliosCode.TOO_LONG: Explanation(
        "The recording is longer than 3 minutes.",
        "Cut it to less than 3 minutes and submit the shorter file.",
    ),
    HeliosCode.TRANSCRIPTION_FAILED: Explanation(
        "No speech was found.",
        "Listen to the file; if the microphone was off or muted, record again.",
    ),
    HeliosCode.INTERNAL: Explanation(
        "The service failed each time it tried.",
        "Submit again later; if the error remains, report the model run's id to thymia.",
    ),
    TIMED_OUT: Explanation(
        "Helios gave no result in the allowed time.",
        "Submit again: the run in progress is asked for, nothing is sent twice.",
    ),
    METADATA_CHANGED: Explanation(
        "The manifest differs from what was sent with this recording.",
        "Correct the manifest, or submit with resend_changed=True to pay for a new run. An invitation "
        "is replaced by study.invite(cohort, resend=[recording_id]).",
    ),
    "INVALID_ROW": Explanation(
        "The row itself is damaged: it has too many cells, or values that were never saved.",
        "Correct the row as its error_reason says, then submit again.",
    ),
    "HTTP_422": Explanation(
        "Helios did not accept the metadata of this recording.",
        "Correct the column that error_reason names, then submit again.",
    ),
    "INVALID_TAG": Explanation(
        "A tag of the row cannot be sent.",
        "Correct the tag as its error_reason says, then submit again.",
    ),
    RECORDING_CHANGED: Explanation(
        "The file changed, or could no longer be read, between its check and its upload; it was "
        "not sent.",
        "Make sure that the file is there and nothing writes to it, then submit again.",
    ),
    DUPLICATE_AUDIO: Explanation(
        "Another row has the same audio with other metadata.",
        "Find out whose recording it is and remove it from the other row.",
    ),
    WITHDRAWN: Explanation(
        "The participant has withdrawn from this study, so the row was not sent.",
        "Remove the row from the manifest; if it was a mistake, use study.readmit(user_label) or "
        "`helios-research readmit DIR LABEL`.",
    ),
    LEFT_OUT: Explanation(
        "The researcher left the recording out after listening to it.",
        "To send it after all, submit with the verdict send: see study.borderline().",
    ),
    INVITATION_UNFINISHED: Explanation(
        "The invitation was begun, and its link never came.",
        "Invite again, with the same line: study.invite(cohort, …) or `helios-research invite`.",
    ),
    INVITED_AND_RECORDED: Explanation(
        "The row has a recording, and its participant was invited to make one. What the invitation "
        "brings counts, and the file was not sent.",
        "Remove the file from the row, or give it a row and a recording_id of its own.",
    ),
    RESULT_GONE: Explanation(
        "The service no longer has the run: its data was deleted before the answer was fetched.",
        "The scores are no longer available; to pay for a new run, submit the recording in another "
        "study folder.",
    ),
    RESULT_UNUSABLE: Explanation(
        "Helios finished the run, but its answer has no score that can be used.",
        "Report the model run's id to thymia. What Helios answered is kept in the study; to pay for a "
        "new run, submit the recording in another study folder.",
    ),
    UNKNOWN_STATUS: Explanation(
        "The run has a status that Helios does not document.",
        "Submit again: the run is asked for, nothing is sent twice. If the status remains, report the "
        "model run's id to thymia.",
    ),
    UNREACHABLE: Explanation(
        "The service did not answer.",
        "Check the network and submit again: it continues where it stopped.",
    ),
    RECORDING_UNREACHABLE: Explanation(
        "The recording could not be read at that moment: its server or network drive did not give it.",
        "Submit again; if the error remains, do what error_reason says.",
    ),
    UNREADABLE_ANSWER: Explanation(
        "An answer came, but not in a form that Helios uses.",
        "Submit again: it continues where it stopped. If the error remains, find out whether a "
        "proxy or a login page answers in place of Helios.",
    ),
    ANSWER_MIXED_UP: Explanation(
        "An answer belonged to another recording or participant, so it was not used.",
        "Submit again if the row is pending. If the error remains, find out whether a cache or a "
        "proxy repeats old answers, and report the model run's id to thymia.",
    ),
}
"""What the codes that are known mean, by code."""


def short_name(code: str) -> str:
    """Name a code in a few small letters; an outcome is its own name."""
    if not code.isupper():
        return code
    if code == "HTTP_422":
        return "metadata not accepted"
    if code.startswith("HTTP_"):
        return code.replace("_", " ")
    return code.removeprefix("ERR_").removeprefix("RECORDING_").replace("_", " ").lower()


def explain(code: str) -> Explanation:
    """Explain any error code, known or not.

    Parameters
    ----------
    code
        An error code from the results' ``error_code`` column.

    Returns
    -------
    Explanation
        Meaning and remedy; for a code that this version does not know, both say so.
    """
    if code in KNOWN:
        return KNOWN[code]
    if code.startswith("INVALID_"):
        return Explanation(
            f"The manifest's {code.removeprefix('INVALID_').lower()} cannot be used.",
            "Correct the row as its error_reason says, then submit again.",
        )
    if code.startswith("HTTP_"):
        number = code.removeprefix("HTTP_")
        known = number.isdecimal() and int(number) in set(HTTPStatus)
        phrase = f" {HTTPStatus(int(number)).phrase}" if known else ""
        return Explanation(
            f"The service answered {number}{phrase}.",
            "Submit again later; if the error remains, report error_reason to thymia.",
        )
    return Explanation(
        "An error code that this version does not know.",
        "Read error_reason, and report the model run's id to thymia if it does not help.",
    )
