"""Keys of values that are words: common nouns, activities, people, pets, titles, companies.

Each drops only what never changes the meaning: case, accents of Latin letters, punctuation,
articles, a plural, the legal form of a company. None guesses that two words are synonyms.
"""

import re
import unicodedata

from shared.value_names import named, tables

_UNDECOMPOSED = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "æ": "ae", "œ": "oe", "’": "'", "ʼ": "'", "`": "'"}
)
_ARTICLES = re.compile(
    r"^(?:(?:a|an|the|my|our|some|le|la|les|un|une|el|los|las|una|der|die|das) )+"
)
_ELISION = re.compile(r"^(?:l|d)'(?=\w)")
_KEPT_SIGNS = re.compile(r"[^\w+#&% ]+")
_LEGAL_FORM = re.compile(
    r"(?: (?:inc|incorporated|corp|corporation|co|company|llc|llp|lp|ltd|limited|plc|gmbh|mbh|ag|kg"
    r"|kgaa|ev|ug|se|sa|sas|sarl|srl|spa|bv|nv|ab|as|oy|oyj|pty|pte|kk|holdings?|group))+$"
)
_NAMED = re.compile(r"^.* (?:named|called|whose name is) (?=\S)")
_OF_THE_FAMILY = (
    r"son|daughter|child|kid|baby|wife|husband|partner|spouse|girlfriend|boyfriend|fiancee?"
)
_RELATION = re.compile(rf"^(?:{_OF_THE_FAMILY}|friend|best friend) (?=\S)")
_RELATION_BEHIND = re.compile(rf"\((?:(?:my|the|his|her|their) )?(?:{_OF_THE_FAMILY})\)")
_TITLE_BEFORE = re.compile(r"^(?:mr|mrs|ms|miss|mx|dr|prof|professor|sir|madam|doctor) (?=\S)")
_SPECIES = (
    r"dog|puppy|cat|kitten|bird|parrot|hamster|rabbit|bunny|horse|pony|fish|goldfish|turtle"
    r"|tortoise|snake|lizard|gecko|guinea pig|ferret|rat|mouse|hedgehog|chicken|budgie|canary"
)
_PET_BEFORE = re.compile(rf"^(?:{_SPECIES}) (?=\S)")
_PET_BEHIND = re.compile(rf"(?: the)? (?:{_SPECIES})$")
_WORKS_AS = re.compile(r"^(?:works|working|employed|work|currently|now|is|be)(?: as)? (?=\S)")
_EMPLOYED = re.compile(r"(?<=\S) (?:at|@) .*$")
_LEVEL_BEHIND = re.compile(r"\((?:[abc][12]|[a-z ]*(?:native|fluent|basic)[a-z ]*)\)")
_DIET_WORDS = re.compile(
    r"^(?:strict|strictly|on|follows|eats|eating|is|now) | (?:diet|eater|food)$"
)


def fold(value: str) -> str:
    """Casefolded, the accents of Latin letters removed, whitespace collapsed."""
    letters: list[str] = []
    for char in unicodedata.normalize("NFKD", value.casefold()).casefold():
        if unicodedata.combining(char) and letters and letters[-1].isascii():
            continue
        letters.append(char)
    folded = unicodedata.normalize("NFC", "".join(letters)).translate(_UNDECOMPOSED)
    return " ".join(folded.split())


def text(value: str) -> str:
    """Folded words without punctuation and leading articles; `+`, `#`, `&` stay (C is not C++)."""
    words = plain(_ELISION.sub("", fold(value)))
    return _ARTICLES.sub("", words) or words


def plain(value: str) -> str:
    """Folded words without punctuation; articles stay, as in Los Angeles."""
    bare = fold(value).replace("'", "")
    return " ".join(_KEPT_SIGNS.sub(" ", bare).replace("_", " ").split())


def name(value: str) -> str:
    """A person's name, without title and without what the slot says already ("my son Leo").

    Its parts are never dropped, and what tells two of a name apart stays: "Sara (colleague)".
    """
    words = text(_RELATION_BEHIND.sub("", fold(value)))
    return _TITLE_BEFORE.sub("", _RELATION.sub("", _NAMED.sub("", words)))


def pet(value: str) -> str:
    """An animal's name with and without its species; an animal without a name is its species."""
    words = _NAMED.sub("", text(value))
    words = _PET_BEFORE.sub("", words)
    return _PET_BEHIND.sub("", words)


def org(value: str) -> str:
    """A company with and without its legal form; a name that is only a legal form stays."""
    bare = re.sub(r"\.(?:com|org|net|io)\b", "", fold(value)).replace(".", "")
    words = plain(bare.replace("&", " and ")).removeprefix("the ")
    words = (_LEGAL_FORM.sub("", words) or words).removesuffix(" and")
    return named("org", words)


def school(value: str) -> str:
    """A school with and without the word university behind its name."""
    words = named("school", org(value))
    return named("school", words.removesuffix(" university") or words)


def title(value: str) -> str:
    """What somebody works as, without the employer behind it and without abbreviations."""
    words = _WORKS_AS.sub("", text(_EMPLOYED.sub("", fold(value))))
    words = _ARTICLES.sub("", words) or words
    return " ".join(named("title_word", word) for word in words.split())


def diet(value: str) -> str:
    """A way of eating: `vegan`, `a vegan diet` and `veganism` are one."""
    return named("diet", _DIET_WORDS.sub("", text(value)))


def faith(value: str) -> str:
    """A religion and the word for those who have it."""
    words = text(value)
    return named("faith", re.sub(r"^practi[cs]ing ", "", words))


def status(value: str) -> str:
    """A state of affairs said in a word or a short phrase."""
    words = re.sub(r"^(?:is|currently|now|happily|recently|newly|just|got|still) ", "", text(value))
    return named("status", words)


def yes_no(value: str) -> str:
    """Yes or no; anything between keeps its words."""
    return named("yes_no", text(value))


def thing(value: str) -> str:
    """A common noun, singular and plural alike."""
    return singular(text(value))


def singular(words: str) -> str:
    """The last word in the singular, as far as its ending tells."""
    if re.search(r"(?:ss|us|is)$", words) or len(words) < 4:
        return words
    if words.endswith("ies") and len(words) > 4:
        return words[:-3] + "y"
    if re.search(r"(?:ch|sh|x|ss|us|o)es$", words) and not words.endswith("shoes"):
        return words[:-2]
    return words.removesuffix("s")


def activity(value: str) -> str:
    """Something one does: `hiking`, `to hike` and `hike` are one."""
    first, _, rest = text(value).removeprefix("to ").partition(" ")
    return f"{_verb_stem(first)} {rest}".strip()


def _verb_stem(word: str) -> str:
    if word.endswith("ing") and len(word) > 5:
        word = word[:-3]
        if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "lsz":
            word = word[:-1]
    elif word.endswith("s") and not word.endswith("ss") and len(word) > 3:
        word = word[:-1]
    return word[:-1] if word.endswith("e") and len(word) > 3 else word


def language(value: str) -> str:
    """A language under its English name, however well it is spoken."""
    words = text(_LEVEL_BEHIND.sub("", fold(value)))
    words = re.sub(r"(?: language| fluently| natively)$", "", words)
    level = tables()["language_level"]
    while " " in words and words.split(" ", 1)[0] in level:
        words = words.split(" ", 1)[1]
    return named("language", words)
