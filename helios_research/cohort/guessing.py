"""Which column of a table a name suggests for each field: one list for messages, shell and mapper.

A guess is only offered; a person confirms it. Names that often hold something else are therefore not
guessed at all: ``patient_id`` and ``name`` may be a person's real identity, which must not be sent,
and ``gender`` is not the sex at birth.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from types import MappingProxyType

from helios_research.columns import STANDARD_FIELDS

_CLOSE_ENOUGH = 0.86
"""Similarity (0 to 1, as difflib measures it) from which a name is taken for a misspelling:
``langauge`` is at 0.88 to ``language``, while ``sleeptime`` and ``waketime`` are at 0.59."""

# English, German, Spanish, French and Italian, and what REDCap, Qualtrics, LimeSurvey and KoBo name
# themselves; written as `_plain` leaves them.
_OTHER_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "recording_id": "rowid uuid responseid aufnahmeid idgrabacion grabacionid idenregistrement",
        "recording": (
            "file filename filepath path audio audiofile audiopath audiourl audiofilename "
            "recordingfile recordingpath recordingurl recordingname voicefile voicerecording wav "
            "wavfile datei dateiname dateipfad pfad audiodatei aufnahme aufnahmedatei tondatei "
            "sprachdatei wavdatei sprachaufnahme tonaufnahme archivo fichero ruta nombrearchivo "
            "grabacion archivoaudio audioarchivo fichier fichieraudio nomfichier nomdufichier "
            "enregistrement fileaudio nomefile registrazione percorso"
        ),
        "user_label": (
            "userid user participant participantid participantcode participantlabel "
            "participantnumber participantno subject subjectid subjectcode subj subjid sub ppt "
            "pptid pid pseudonym pseudonymid code personcode speaker speakerid respondent "
            "respondentid token proband probandid probandin probandencode probandennummer "
            "probandennr teilnehmer teilnehmerid teilnehmercode teilnehmerin teilnehmernummer "
            "teilnehmernr vp vpn vpcode vpnr vpnummer versuchsperson versuchspersonid participante "
            "participanteid idparticipante codigoparticipante sujeto sujetoid idsujeto codigo "
            "seudonimo idparticipant codeparticipant numeroparticipant sujet idsujet numerosujet "
            "partecipante idpartecipante codicepartecipante soggetto idsoggetto codice recordid studyid"
        ),
        "date_of_birth": (
            "dob birthdate birthday birth born dateborn birthdt brthdtc gebdatum gebdat "
            "geburtsdatum geburtstag geboren fechanacimiento fechadenacimiento fnacimiento "
            "nacimiento datenaissance datedenaissance naissance ddn datanascita datadinascita nascita"
        ),
        "birth_sex": (
            "sex sexatbirth sexassignedatbirth assignedsex biologicalsex geschlecht "
            "geburtsgeschlecht sexo sexoalnacer sexobiologico sexe sexealanaissance sesso "
            "sessoallanascita"
        ),
        "language": (
            "lang languagecode locale spokenlanguage userlanguage startlanguage sprache sprachcode "
            "idioma lengua lenguaje codigoidioma langue lingua"
        ),
        "accent": "dialect akzent dialekt acento dialecto dialecte accento dialetto",
        "recording_time": (
            "recordedat recordedon recordingdatetime recordingdate recordingtimestamp recorded "
            "datetime timestamp aufnahmezeit aufnahmezeitpunkt aufnahmedatum aufgenommen "
            "zeitstempel fechagrabacion horagrabacion fechahora momentograbacion "
            "dateenregistrement heureenregistrement dataregistrazione oraregistrazione"
        ),
        "sleep_time": (
            "sleepat asleepat asleep fellasleep fellasleepat sleeponset sleepstart sleeponsettime "
            "timeasleep einschlafzeit eingeschlafen einschlafzeitpunkt schlafzeit schlafbeginn "
            "horadormir horadedormir horasueno iniciosueno sedurmio endormissement "
            "heureendormissement addormentamento oraaddormentamento"
        ),
        "wake_time": (
            "wakeat wakeup wakeuptime wakeupat waketimestamp woke wokeat wokeup awake awakeat "
            "awaketime sleepend aufwachzeit aufgewacht aufwachzeitpunkt wachzeit schlafende "
            "horadespertar horadedespertar despertar horalevantarse sedesperto reveil heurereveil "
            "risveglio orarisveglio"
        ),
    }
)
# In REDCap the participant, elsewhere often a row or a study: taken where no other column is the
# participant.
_LAST_RESORT = {"recordid", "studyid"}
_MARKS_OF_REDCAP = {
    *("redcapeventname", "redcaprepeatinstrument", "redcaprepeatinstance"),
    *("eventname", "repeatinstrument", "repeatinstance"),
}
# What recordings of one row are numbered by.
_LEVEL = re.compile(r"(?i).*\d.*|pre|post|baseline|follow-?up|before|after|screening")

_FIELD_OF: Mapping[str, str] = MappingProxyType(
    {name: field for field, names in _OTHER_NAMES.items() for name in names.split()}
    | {field.replace("_", ""): field for field in STANDARD_FIELDS}
)


def guess_columns(names: Iterable[str]) -> dict[str, str]:
    """Guess which column holds which field."""
    found: dict[str, tuple[float, str]] = {}
    names = list(names)
    is_redcap = not _MARKS_OF_REDCAP.isdisjoint(map(_plain, names))
    for name in names:
        field, similarity = _closest(name)
        if is_redcap and _plain(name) == "recordid":
            # Its other columns may be blank in most rows of a participant.
            similarity = 1.5
        if field and similarity > found.get(field, (0.0, ""))[0]:
            found[field] = (similarity, name)
    return {field: found[field][1] for field in STANDARD_FIELDS if field in found}


def guess_wide(names: Iterable[str]) -> dict[str, list[str]]:
    """Guess which columns hold the several recordings of a row, and as many of other fields."""
    found: dict[str, dict[str, list[str]]] = {}
    for name in names:
        field, stem = _field_of_several(name)
        if field:
            found.setdefault(field, {}).setdefault(stem, []).append(name)
    several = {field: max(stems.values(), key=len) for field, stems in found.items()}
    recordings = len(several.get("recording", []))
    alike = {field: own for field, own in several.items() if len(own) == recordings}
    return alike if recordings > 1 else {}


def _field_of_several(name: str) -> tuple[str, str]:
    """Name the field of a column such as recording_t1, and what it shares with its like."""
    if _plain(name) in _FIELD_OF:
        return "", ""
    for pattern in (
        r"(?P<stem>.+?)[\W_]+(?P<level>[^\W_]+)",
        r"(?P<level>[^\W_]+)[\W_]+(?P<stem>.+)",
        r"(?P<stem>.*?)(?P<level>\d+)",
    ):
        parts = re.fullmatch(pattern, name)
        if parts and _LEVEL.fullmatch(parts["level"]) and _plain(parts["stem"]) in _FIELD_OF:
            return _FIELD_OF[_plain(parts["stem"])], _plain(parts["stem"])
    return "", ""


def _closest(name: str) -> tuple[str, float]:
    """Name the field that a column is closest to, and how close; '' where none is."""
    if name in STANDARD_FIELDS:
        return name, 2.0
    # KoBo writes group/question.
    plain = _plain(name.rpartition("/")[2])
    if plain in _FIELD_OF:
        return _FIELD_OF[plain], 0.5 if plain in _LAST_RESORT else 1.0
    # Short names are close to anything: `dog` to `dob`.
    known = [other for other in _FIELD_OF if len(other) >= 6 and len(plain) >= 6]
    close = get_close_matches(plain, known, n=1, cutoff=_CLOSE_ENOUGH)
    return (_FIELD_OF[close[0]], _CLOSE_ENOUGH) if close else ("", 0.0)


def _plain(name: str) -> str:
    """Leave letters and digits only: ``sleepTime``, ``Sleep time`` and ``SLEEP_TIME`` are one."""
    without_accents = unicodedata.normalize("NFKD", name.casefold())
    return re.sub(r"[^a-z0-9]", "", without_accents.replace("ß", "ss"))
