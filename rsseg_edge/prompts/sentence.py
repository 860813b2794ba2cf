"""Sentences as a referring network takes them."""

from __future__ import annotations

import unicodedata

from rsseg_edge.errors import UsageError


def tidy_sentences(sentences: list[str], most: int = 254) -> tuple[str, ...]:
    """The sentences with single spaces.

    Raises:
        UsageError: there is none or more than ``most``, one is empty or stands twice, or is not in English letters.
    """
    if not sentences:
        raise UsageError("no sentence: say what to segment, for instance --refer 'the water on the left'")
    if len(sentences) > most:
        raise UsageError(f"{len(sentences)} sentences: a class map holds {most} and the background")
    found: list[str] = []
    for number, given in enumerate(sentences, 1):
        sentence = " ".join(given.split())
        if not sentence:
            raise UsageError(f"sentence {number} is empty: say what to segment")
        wrong = next((c for c in sentence if not _readable(c)), None)
        if wrong is not None:
            raise UsageError(f"sentence {number}: {wrong!a} is no letter of English, which the network reads")
        if not any(c.isalnum() for c in sentence):
            raise UsageError(f"sentence {number}, '{sentence}', has no word in it")
        if sentence in found:
            raise UsageError(f"'{sentence}' stands twice: one sentence, one mask")
        found.append(sentence)
    return tuple(found)


def _readable(character: str) -> bool:
    # Accents and typographic quotes do no harm. Bytes that were no UTF-8 arrive as lone surrogates, category Cs.
    if character.isalpha():
        return unicodedata.name(character, "").startswith("LATIN ")
    return not unicodedata.category(character).startswith("C")
