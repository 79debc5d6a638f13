"""What earlier statements said, as far as it decides what a bare name belongs to.

"Rex died" and "it's Leo, not Theo" name a value and no attribute; the attribute is the one the
value was last given, in this batch or among what is already believed. Pure.
"""

from collections.abc import Sequence

from services.extractor.drafts import Draft
from services.extractor.languages import Language
from services.extractor.turns import KnownFact, RawFact
from shared.slots import resolve, value_key


class Memory:
    """Values by the attribute they were last given."""

    def __init__(self, known: Sequence[KnownFact] = ()) -> None:
        self._values = [(each["slot"], each["value"], "user", "") for each in known]

    def remember(self, fact: RawFact) -> None:
        if fact["slot"] and fact["value"] and fact["claim"] == "holds":
            self._values.append((fact["slot"], fact["value"], fact["subject"], fact["content"]))

    def slot_of(self, value: str, among: Sequence[str] = ()) -> str | None:
        """The user's attribute that last had this value."""
        for slot, known, subject, _ in reversed(self._values):
            spec = resolve(slot)
            name = spec.name if spec else slot
            same = value_key(name, known) == value_key(name, value)
            if same and subject == "user" and (not among or name in among):
                return name
        return None

    def correction(self, text: str, language: Language) -> list[Draft]:
        """Theo denied and Leo held where "it's Leo, not Theo" and Theo was said before."""
        match = language.patterns["correction"].search(text.strip(" .!"))
        slot = self.slot_of(match["old"]) if match else None
        if match is None or slot is None:
            return []
        old, new = match["old"], match["new"]
        said = next(
            (
                content
                for _, value, _, content in reversed(self._values)
                if content and value_key(slot, value) == value_key(slot, old)
            ),
            "",
        )
        label = slot.replace("_", " ")
        held = said.replace(old, new) if old in said else f"{label.capitalize()} is {new}"
        return [
            Draft(slot, old, f"{label.capitalize()} is not {old}", claim="denies", confidence=0.85),
            Draft(slot, new, held, confidence=0.85),
        ]
