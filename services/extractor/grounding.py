"""Whether a quote stands in the message it is said to come from (pure).

Case, accents, spaces and punctuation do not count. Models leave out what stands between two parts
of a quote and mark it "…": the parts must then stand there in that order.
"""

from __future__ import annotations

import re
import unicodedata

_GAP = re.compile(r"…|\.{3,}|\[\.\.\.\]")


def folded(text: str) -> str:
    """Letters and digits alone, in one case, without accents."""
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return "".join(character for character in plain if character.isalnum())


def occurs(quote: str, within: str) -> bool:
    """Whether a folded message says the quote; one without letters or digits stands in any."""
    position = 0
    for part in _GAP.split(quote):
        wanted = folded(part)
        found = within.find(wanted, position)
        if found < 0:
            return False
        position = found + len(wanted)
    return True
