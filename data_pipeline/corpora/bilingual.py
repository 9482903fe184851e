"""`bilingual`: pairs of sentences that one grammar says in two word orders.

English and a German with the words of this file. A target follows from its source
alone, so that every sentence can be got right; what has to be learnt is

    agreement   of articles, adjectives and relative pronouns with the gender, number
                and case of their noun: `the small dog sees a bird`, `der kleine Hund
                sieht einen Vogel`
    order       the verb second after what stands first (`today the dog sings`, `heute
                singt der Hund`), infinitives at the end of a clause (`can see a bird`,
                `kann einen Vogel sehen`), all verbs at the end of one with `weil`,
                `wenn`, `dass` or a relative pronoun
"""

import itertools
import random
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

GENDERS = "mfn"


def _rows(text: str) -> list[list[str]]:
    return [row.split() for row in text.split("|")]


NOUNS = _rows(  # English singular and plural, German singular, gender, plural
    """dog dogs Hund m Hunde | cat cats Katze f Katzen
    | child children Kind n Kinder | man men Mann m Männer
    | woman women Frau f Frauen | girl girls Mädchen n Mädchen
    | bird birds Vogel m Vögel | horse horses Pferd n Pferde
    | doctor doctors Arzt m Ärzte | teacher teachers Lehrerin f Lehrerinnen
    | mouse mice Maus f Mäuse | sister sisters Schwester f Schwestern
    | pig pigs Schwein n Schweine | calf calves Kalb n Kälber
    | baby babies Baby n Babys | wolf wolves Wolf m Wölfe
    | goat goats Ziege f Ziegen | king kings König m Könige"""
)
ADJECTIVES = _rows(
    "small klein|big groß|old alt|young jung|clever klug|quiet still|happy froh|"
    "brave mutig|lazy faul|strange fremd"
)
TRANSITIVE = (
    _rows(  # English third person and base, German third person, plural, infinitive
        """sees see sieht sehen|hears hear hört hören|finds find findet finden
    |seeks seek sucht suchen|loves love liebt lieben|knows know kennt kennen
    |draws draw zeichnet zeichnen|buys buy kauft kaufen
    |asks ask fragt fragen|forgets forget vergisst vergessen"""
    )
)
INTRANSITIVE = _rows(
    """sleeps sleep schläft schlafen|laughs laugh lacht lachen
    |sings sing singt singen|dances dance tanzt tanzen|waits wait wartet warten
    |swims swim schwimmt schwimmen|works work arbeitet arbeiten
    |runs run läuft laufen"""
)
SAYS = _rows(
    """says say sagt sagen|believes believe glaubt glauben
    |hopes hope hofft hoffen"""
)
MODALS = _rows(  # English, German third person, plural
    "can kann können|must muss müssen|will wird werden"
)
ADVERBS = _rows("today heute|often oft|here hier|alone allein|now jetzt|again wieder")
DETERMINERS = {  # English: by number and case, German by gender (or for the plural)
    "the": {"n": "der die das", "a": "den die das", "p": "die"},
    "this": {"n": "dieser diese dieses", "a": "diesen diese dieses"},
    "every": {"n": "jeder jede jedes", "a": "jeden jede jedes"},
    "a": {"n": "ein eine ein", "a": "einen eine ein"},
    "these": {"p": "diese"},
    "some": {"p": "einige"},
    "two": {"p": "zwei"},
}
SINGULAR = ("the", "a", "a", "this", "every")
PLURAL = ("the", "the", "some", "these", "two")
ENDINGS = {  # of adjectives: after whom, by case and gender; the plural's last
    "strong": {"n": "er e es", "a": "en e es", "p": "e"},  # after `ein`, `zwei`, …
    "weak": {"n": "e e e", "a": "en e e", "p": "en"},
}
STRONG = ("a", "some", "two")
RELATIVE = ("der", "die", "das")

JOINING = (("because", "weil"), ("if", "wenn"))

Words = list[str]


class Noun(NamedTuple):
    """A noun phrase in both languages."""

    source: Words
    target: Words
    plural: bool


class Clause(NamedTuple):
    """A clause in both languages.

    source, asked  English predicate as it is said, and as it is asked for: its helper
                   verb first (`does`, `can`).
    field  the German words between subject and end: adverb, object, `nicht`.
    end    its verbs as they stand at the end of a clause: the finite one last.
    tail   a clause that follows it, in both languages.
    """

    subject: Noun
    source: Words
    asked: Words
    field: Words
    end: Words
    tail: tuple[Words, Words] = ([], [])

    def english(self) -> Words:
        """As it is said."""
        return [*self.subject.source, *self.source, *self.tail[0]]

    def question(self) -> Words:
        """As it is asked."""
        helper, *rest = self.asked
        return [helper, *self.subject.source, *rest, *self.tail[0]]

    def german(self, first: Words | None = None) -> Words:
        """The finite verb behind `first`, where the subject is by default."""
        *rest, finite = self.end
        head = [*self.subject.target, finite]
        if first is not None:
            head = [*first, finite, *self.subject.target]
        return [*head, *self.field, *rest, *self.tail[1]]

    def german_last(self) -> Words:
        """All verbs at the end."""
        return [*self.subject.target, *self.field, *self.end, *self.tail[1]]


class Pair(NamedTuple):
    """A source sentence and its target, words between blanks."""

    source: str
    target: str


def sample(count: int, seed: int | str, longest: int = 0) -> list[Pair]:
    """`count` independent pairs; a pure function of the seed.

    longest  words of a source at most, its full stop included; longer ones are passed
             over. 0: any.
    """
    chance, found = random.Random(f"bilingual:{seed}"), []
    while len(found) < count:
        pair = _sentence(chance)
        if not longest or pair.source.count(" ") < longest:
            found.append(pair)
    return found


def _sentence(chance: random.Random) -> Pair:
    kind, clause = chance.random(), _clause(chance)
    source, target, stop = clause.english(), clause.german(), "."
    if kind < 0.15:
        source, target, stop = clause.question(), clause.german([]), "?"
    elif kind < 0.3:
        word, german = _pick(chance, ADVERBS)
        source, target = [word, *source], clause.german([german])
    elif kind < 0.5:
        word, german = _pick(chance, JOINING)
        side = _clause(chance)
        source = [*source, word, *side.english()]
        target = [*target, ",", german, *side.german_last()]
    words = [*source, stop]
    for at, (word, after) in enumerate(itertools.pairwise(words)):
        if word == "a" and after[0] in "aeiou":
            words[at] = "an"
    return Pair(" ".join(words), " ".join(_commas([*target, stop])))


def _clause(chance: random.Random) -> Clause:
    subject, kind = _noun(chance, "n", 0.2), chance.random()
    helper = "do" if subject.plural else "does"
    if kind < 0.1:
        third, base, singular, plural = _pick(chance, SAYS)
        side = _clause(chance)
        return Clause(
            subject,
            [base if subject.plural else third],
            [helper, base],
            [],
            [plural if subject.plural else singular],
            (["that", *side.english()], [",", "dass", *side.german_last()]),
        )
    object_ = _noun(chance, "a", 0.15) if kind < 0.65 else Noun([], [], False)
    verb = _pick(chance, TRANSITIVE if kind < 0.65 else INTRANSITIVE)
    third, base, singular, infinitive = verb
    finite = infinitive if subject.plural else singular
    adverb = _pick(chance, ADVERBS) if chance.random() < 0.25 else []
    before, field = adverb[:1], [*adverb[1:], *object_.target]
    how = chance.random()
    if how < 0.35:
        helper, singular, plural = _pick(chance, MODALS)
        end = [infinitive, plural if subject.plural else singular]
        said = [*before, helper, base, *object_.source]
    elif how < 0.5:
        field, end = [*field, "nicht"], [finite]
        before = ["not", *before]
        said = [helper, *before, base, *object_.source]
    else:
        end = [finite]
        said = [*before, base if subject.plural else third, *object_.source]
    return Clause(subject, said, [helper, *before, base, *object_.source], field, end)


def _noun(chance: random.Random, case: str, relative: float) -> Noun:
    """A noun phrase in a case, `n` or `a`, with a relative clause in so many of all."""
    one, many, german, gender, germans = _pick(chance, NOUNS)
    plural, at = chance.random() < 0.4, GENDERS.index(gender)
    determiner = _pick(chance, PLURAL if plural else SINGULAR)
    form = "p" if plural else case
    place = 0 if plural else at
    source, target = [determiner], [DETERMINERS[determiner][form].split()[place]]
    ending = ENDINGS["strong" if determiner in STRONG else "weak"][form].split()[place]
    if chance.random() < 0.4:
        word, stem = _pick(chance, ADJECTIVES)
        source, target = [*source, word], [*target, stem + ending]
    source, target = (
        [*source, many if plural else one],
        [*target, germans if plural else german],
    )
    if chance.random() < relative:
        third, base, singular, plurals = _pick(chance, TRANSITIVE)
        found = _noun(chance, "a", relative / 2)
        source += ["who", base if plural else third, *found.source]
        pronoun = "die" if plural else RELATIVE[at]
        verb = plurals if plural else singular
        target += [",", pronoun, *found.target, verb, ","]
    return Noun(source, target, plural)


def _pick(chance: random.Random, choices: Sequence) -> Any:
    return choices[int(chance.random() * len(choices))]


def _commas(words: Words) -> Iterator[str]:
    """Without a comma before another sign."""
    for word, after in zip(words, [*words[1:], ""], strict=True):
        if word != "," or after not in (",", ".", "?"):
            yield word
