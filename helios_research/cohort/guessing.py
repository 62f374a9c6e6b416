"""Which column of a table is probably which field, by its name alone.

A guess only fills in a choice that a person sees and confirms. That is why names that often hold
something else are not guessed at all: ``patient_id`` and ``name`` may be a person's real
identity, which must not be sent, and ``gender`` is not the sex at birth.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from difflib import SequenceMatcher
from types import MappingProxyType

from helios_research.columns import STANDARD_FIELDS

CLOSE_ENOUGH = 0.86
"""Similarity (0 to 1, as difflib measures it) from which a name is taken for a misspelling:
``langauge`` is at 0.88 to ``language``, while ``sleeptime`` and ``waketime`` are at 0.59."""

# English, German and Spanish, as they stand in exports of survey and trial software; written as
# `_plain` leaves them.
_OTHER_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "recording_id": "recordid rowid uuid aufnahmeid idgrabacion grabacionid",
        "recording": (
            "file filename filepath path audio audiofile audiopath audiourl audiofilename "
            "recordingfile recordingpath recordingurl recordingname voicefile voicerecording wav "
            "wavfile datei dateiname dateipfad pfad audiodatei aufnahme sprachaufnahme tonaufnahme "
            "archivo fichero ruta nombrearchivo grabacion archivoaudio audioarchivo"
        ),
        "user_label": (
            "userid user participant participantid participantcode participantlabel "
            "participantnumber participantno subject subjectid subjectcode subj subjid sub ppt "
            "pptid pid pseudonym pseudonymid code personcode speaker speakerid respondent "
            "respondentid proband probandid probandin probandencode teilnehmer teilnehmerid "
            "teilnehmercode teilnehmerin teilnehmernummer vp vpn vpcode vpnr versuchsperson "
            "versuchspersonid participante participanteid idparticipante codigoparticipante "
            "sujeto sujetoid idsujeto codigo seudonimo"
        ),
        "date_of_birth": (
            "dob birthdate birthday birth born dateborn birthdt brthdtc gebdatum gebdat "
            "geburtsdatum geburtstag geboren fechanacimiento fechadenacimiento fnacimiento nacimiento"
        ),
        "birth_sex": (
            "sex sexatbirth sexassignedatbirth assignedsex biologicalsex geschlecht "
            "geburtsgeschlecht sexo sexoalnacer sexobiologico"
        ),
        "language": (
            "lang languagecode locale spokenlanguage sprache sprachcode idioma lengua lenguaje "
            "codigoidioma"
        ),
        "accent": "dialect akzent dialekt acento dialecto",
        "recording_time": (
            "recordedat recordedon recordingdatetime recordingdate recordingtimestamp recorded "
            "datetime timestamp aufnahmezeit aufnahmezeitpunkt aufnahmedatum aufgenommen "
            "zeitstempel fechagrabacion horagrabacion fechahora momentograbacion"
        ),
        "sleep_time": (
            "sleepat asleepat asleep fellasleep fellasleepat sleeponset sleepstart sleeponsettime "
            "timeasleep einschlafzeit eingeschlafen einschlafzeitpunkt schlafzeit schlafbeginn "
            "horadormir horadedormir horasueno iniciosueno sedurmio"
        ),
        "wake_time": (
            "wakeat wakeup wakeuptime wakeupat waketimestamp woke wokeat wokeup awake awakeat "
            "awaketime sleepend aufwachzeit aufgewacht aufwachzeitpunkt wachzeit schlafende "
            "horadespertar horadedespertar despertar horalevantarse sedesperto"
        ),
    }
)
_FIELD_OF: Mapping[str, str] = MappingProxyType(
    {name: field for field, names in _OTHER_NAMES.items() for name in names.split()}
    | {field.replace("_", ""): field for field in STANDARD_FIELDS}
)


def guess_columns(names: Iterable[str]) -> dict[str, str]:
    """Guess which column holds which field."""
    found: dict[str, tuple[float, str]] = {}
    for name in names:
        field, similarity = _closest(name)
        if field and similarity > found.get(field, (0.0, ""))[0]:
            found[field] = (similarity, name)
    return {field: found[field][1] for field in STANDARD_FIELDS if field in found}


def _closest(name: str) -> tuple[str, float]:
    """Name the field that a column is closest to, and how close; '' where none is."""
    if name in STANDARD_FIELDS:
        return name, 2.0
    plain = _plain(name)
    if plain in _FIELD_OF:
        return _FIELD_OF[plain], 1.0
    # Short names are close to anything: `dog` to `dob`.
    known = [other for other in _FIELD_OF if len(other) >= 6 and len(plain) >= 6]
    closeness = {other: SequenceMatcher(None, plain, other).ratio() for other in known}
    best = max(closeness, key=closeness.__getitem__, default="")
    if not best or closeness[best] < CLOSE_ENOUGH:
        return "", 0.0
    return _FIELD_OF[best], closeness[best]


def _plain(name: str) -> str:
    """Leave letters and digits only: ``sleepTime``, ``Sleep time`` and ``SLEEP_TIME`` are one."""
    without_accents = unicodedata.normalize("NFKD", name.casefold())
    return re.sub(r"[^a-z0-9]", "", without_accents.replace("ß", "ss"))
