"""Catalogues and dates: English message ids, Swedish and Finnish translations, dates in full words."""

import io
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

from babel import Locale, negotiate_locale
from babel.dates import format_date, format_time
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from service import settings

LANGUAGES = ("sv", "fi", "en")
LOCALES = {"sv": "sv_SE", "fi": "fi_FI", "en": "en_GB"}
_CLOCK = {"sv": ("kl.", "HH.mm"), "fi": ("klo", "H.mm"), "en": ("at", "HH:mm")}
_FOLDER = Path(__file__).with_name("locale")


@lru_cache
def catalogue(language: str) -> NullTranslations:
    """Return a language's translations, read from its .po files; English is the message ids themselves."""
    merged = NullTranslations()
    for path in sorted((_FOLDER / language).glob("*.po")):
        found = _read(path, language)
        merged = merged.merge(found) if isinstance(merged, Translations) else found
    return merged


def _read(path: Path, language: str) -> Translations:
    compiled = io.BytesIO()
    with path.open("rb") as file:
        write_mo(compiled, read_po(file, locale=language))
    compiled.seek(0)
    return Translations(compiled)


@lru_cache
def environment(language: str) -> Environment:
    """Return the Jinja environment of templates/ in a language: `_`, and the filters `day` and `moment` (zone)."""
    made = Environment(
        loader=FileSystemLoader(settings.ROOT / "templates"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    translations = catalogue(language)
    made.install_gettext_callables(translations.gettext, translations.ngettext, newstyle=True)  # type: ignore[attr-defined]
    made.filters["day"] = lambda moment, zone: full_date(moment, language, zone)
    made.filters["moment"] = lambda moment, zone: full_moment(moment, language, zone)
    made.globals["language"] = language
    return made


def translate(language: str, message: str, **values: object) -> str:
    """Return a message in a language, its %(names)s filled in."""
    text = str(catalogue(language).gettext(message))
    return text % values if values else text


def translate_count(language: str, one: str, many: str, count: int, **values: object) -> str:
    """Return the singular or plural message for a count, filled in."""
    return str(catalogue(language).ngettext(one, many, count)) % {"count": count, **values}


def negotiate(accept_language: str) -> str:
    """Return the best of our languages for an Accept-Language header, English where none fits."""
    wanted = [part.split(";")[0].strip().replace("-", "_") for part in accept_language.split(",")]
    return negotiate_locale([part for part in wanted if part], LANGUAGES, sep="_") or "en"


def full_date(moment: datetime, language: str, zone: str) -> str:
    """Return the date in full words in a time zone: 27 januari 2021."""
    return format_date(
        moment.astimezone(ZoneInfo(zone)),
        format="d MMMM y" if language != "fi" else "long",
        locale=Locale.parse(LOCALES[language]),
    )


def full_moment(moment: datetime, language: str, zone: str) -> str:
    """Return date and time in full words in a time zone: 27 januari 2021 kl. 14.21."""
    word, clock = _CLOCK[language]
    local = moment.astimezone(ZoneInfo(zone))
    told = format_time(local, clock, locale=LOCALES[language])
    return f"{full_date(moment, language, zone)} {word} {told}"
