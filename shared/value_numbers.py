"""Keys of values that are numbers or addresses: phones, mails, links, counts, sizes, money."""

import re

from shared.value_names import named, tables
from shared.value_words import fold, text

_FEET = re.compile(
    r"^(\d)\s*(?:'|ft|feet|foot)\s*(?:(\d{1,2})(?:[.,]\d+)?\s*(?:\"|''|in|inch|inches|)?)?$"
)
_LENGTH = re.compile(r"^(\d+(?:[.,]\d+)?)\s*(cm|centimet(?:er|re)s?|m|met(?:er|re)s?|)$")
_WEIGHT = re.compile(r"^(\d+(?:[.,]\d+)?)\s*(kg|kgs|kilos?|kilograms?|lbs?|pounds?)$")
_MONEY = re.compile(
    r"(\d{1,3}(?:[, ]\d{3})+|\d+)(?:[.,](\d{1,2})(?!\d))?\s*(k|m|thousand|million)?\b"
)
_MONTHLY = re.compile(r"\b(?:per|a|every|/) ?month\b|\bmonthly\b|/ ?mo\b|\bpm$")
_HOURLY = re.compile(r"\b(?:per|an|every|/) ?hour\b|\bhourly\b|/ ?hr?\b")
_EXTENSION = re.compile(r"^(.*?)(?:(?<=\d)\W*(?:ext\.?|x|extension) ?(\d+)\W*)?$", re.DOTALL)
_KEYPAD = str.maketrans("abcdefghijklmnopqrstuvwxyz", "22233344455566677778889999")
_CM_PER_INCH = 2.54
_KG_PER_POUND = 0.45359237


def email(value: str) -> str:
    """An address without the dress: `<Ana@x.org>`, `mailto:ana@x.org`."""
    return fold(value).removeprefix("mailto:").strip("<>., ")


def url(value: str) -> str:
    """A link without its scheme and `www`; a handle without its `@`."""
    bare = re.sub(r"^[a-z]+://", "", fold(value)).removeprefix("www.")
    return re.sub(r"[/.#?]+$", "", bare).removeprefix("@")


def phone(value: str) -> str:
    """The digits with the country's code; North American ones without it, as they are said."""
    said = fold(value).removeprefix("tel:").replace("(0)", "").rstrip(" .,;!")
    number, extension = _EXTENSION.match(said).groups("")  # type: ignore[union-attr]  # always matches
    digits = _dialled(number)
    if len(digits.lstrip("+")) < 3:
        return text(value)
    if digits.startswith("00"):
        digits = "+" + digits[2:]
    if american := re.fullmatch(r"\+?1?([2-9]\d{2}[2-9]\d{6})", digits):
        digits = american[1]
    return f"{digits}x{extension}" if extension else digits


def _dialled(number: str) -> str:
    """Letters as the keys they are on, where digits stand before them: 1-800-FLOWERS."""
    vanity = re.match(r"^[\d+ ()./-]*\d[\d+ ()./-]*[a-z]{3,}[a-z\d -]*$", number)
    spelled = number.translate(_KEYPAD) if vanity else number
    return ("+" if spelled.strip().startswith("+") else "") + re.sub(r"\D", "", spelled)


def count(value: str) -> str:
    """How many: `2`, `two`, `2 kids`; `none` is 0."""
    words = text(value).split()
    numbers = tables()["number"]
    for word in words[:2]:
        if word.isdecimal():
            return str(int(word))
        if word in numbers:
            return str(numbers[word])
    return " ".join(words)


def height(value: str) -> str:
    """Whole centimetres, from metres or feet and inches too."""
    said = fold(value).replace("”", '"').replace("″", '"').replace("′", "'").rstrip(". ")
    said = re.sub(r"(?: tall|^about |^around )", "", said).strip()
    if feet := _FEET.match(said):
        inches = int(feet[1]) * 12 + int(feet[2] or 0)
        return f"{round(inches * _CM_PER_INCH)} cm"
    if metric := _LENGTH.match(said):
        number = float(metric[1].replace(",", "."))
        metres = metric[2].startswith("m") or (not metric[2] and number < 3)
        return f"{round(number * 100 if metres else number)} cm"
    return text(value)


def weight(value: str) -> str:
    """Kilograms to a tenth, from pounds too; a number without a unit stays one."""
    said = re.sub(r"^(?:about|around) ", "", fold(value).rstrip(". "))
    if match := _WEIGHT.match(said):
        number = float(match[1].replace(",", "."))
        kilograms = number * _KG_PER_POUND if match[2][0] in "lp" else number
        return f"{kilograms:.1f}".removesuffix(".0") + " kg"
    return _number(said) or text(value)


def _number(said: str) -> str | None:
    match = re.fullmatch(r"(\d+)(?:[.,](\d+))?", said)
    if match is None:
        return None
    rest = (match[2] or "").rstrip("0")
    return f"{int(match[1])}.{rest}" if rest else str(int(match[1]))


def money(value: str) -> str:
    """An amount with its currency and, where it is not a year's, its period."""
    said = fold(value)
    match = _MONEY.search(said)
    if match is None:
        return text(value)
    amount = int(re.sub(r"[, ]", "", match[1])) * 100 + int((match[2] or "0").ljust(2, "0"))
    amount *= {"k": 1_000, "thousand": 1_000, "m": 1_000_000, "million": 1_000_000}.get(
        match[3] or "", 1
    )
    marks = [mark for mark in tables()["currency"] if _has(said, mark)]
    period = "a month" if _MONTHLY.search(said) else "an hour" if _HOURLY.search(said) else ""
    whole, cents = divmod(amount, 100)
    shown = f"{whole}.{cents:02}" if cents else str(whole)
    return " ".join(filter(None, [shown, named("currency", marks[0]) if marks else "", period]))


def _has(said: str, mark: str) -> bool:
    return (
        mark in said if not mark.isalpha() else bool(re.search(rf"(?<![a-z]){mark}(?![a-z])", said))
    )
