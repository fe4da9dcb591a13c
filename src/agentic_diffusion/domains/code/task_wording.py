"""Generated tasks in plain English, in the varied words that people use, and names for their functions.

opener + what is returned + from what + how it is arranged + what there is where nothing is left
"""

from __future__ import annotations

import random

from agentic_diffusion.domains.code.task_algebra import Operation, Source, Spec

_NUMBERS = ("nought", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_GIVEN: dict[Source, tuple[str, ...]] = {
    "numbers": ("a list of integers", "a list of numbers", "a list of whole numbers"),
    "range": ("a number n", "an integer n", "a positive integer n"),
    "digits": ("a non-negative integer n", "a number n"),
    "words": ("a list of words", "a list of strings"),
    "letters": ("a string", "a text", "a string of characters"),
}
_NOUNS: dict[Source, tuple[str, ...]] = {
    "numbers": ("numbers", "integers", "elements"),
    "range": ("numbers from 1 to n", "integers from 1 to n", "numbers between 1 and n"),
    "digits": ("digits of n", "decimal digits of n"),
    "words": ("words", "strings"),
    "letters": ("letters", "characters"),
}
_TESTS: dict[str, tuple[str, ...]] = {
    "even": ("are even", "are divisible by two"),
    "odd": ("are odd", "are not even"),
    "positive": ("are positive", "are greater than zero"),
    "negative": ("are negative", "are below zero"),
    "divisible": ("are divisible by {c}", "are multiples of {c}"),
    "not_divisible": ("are not divisible by {c}", "are no multiples of {c}"),
    "greater": ("are greater than {c}", "are larger than {c}", "exceed {c}"),
    "smaller": ("are less than {c}", "are smaller than {c}", "are below {c}"),
    "differs": ("are not equal to {c}", "differ from {c}"),
    "longer": ("have more than {c} letters", "are longer than {c} characters"),
    "shorter": ("have fewer than {c} letters", "are shorter than {c} characters"),
    "starts": ("start with '{c}'", "begin with the letter '{c}'"),
    "ends": ("end with '{c}'", "have '{c}' as their last letter"),
    "contains": ("contain the letter '{c}'", "have a '{c}' in them"),
    "lacks": ("do not contain the letter '{c}'", "have no '{c}' in them"),
    "vowel": ("are vowels (a, e, i, o, u)", "are lower-case vowels"),
    "no_vowel": ("are not vowels (a, e, i, o, u)", "are no lower-case vowels"),
    "is": ("are equal to '{c}'", "are the letter '{c}'"),
    "is_not": ("are not the letter '{c}'", "differ from '{c}'"),
    "before": ("come before '{c}' in character order", "are smaller than '{c}' as characters"),
}
_MAPPINGS: dict[str, tuple[str, ...]] = {
    "square": ("the squares of {np}", "{np}, each one squared"),
    "cube": ("the cubes of {np}", "{np}, each one cubed"),
    "times": ("{np}, each multiplied by {c}", "{c} times each of {np}"),
    "plus": ("{np}, each increased by {c}", "{np} with {c} added to each"),
    "minus": ("{np}, each decreased by {c}", "{np} with {c} subtracted from each"),
    "negate": ("the negatives of {np}", "{np} with the opposite sign"),
    "absolute": ("the absolute values of {np}", "{np} without their signs"),
    "distance": ("the distances of {np} from {c}", "the absolute differences between {c} and {np}"),
    "length": ("the lengths of {np}", "the numbers of characters of {np}"),
    "upper": ("{np} in upper case", "{np}, in capital letters"),
    "twice": ("{np}, each repeated twice without a space", "{np}, each written twice in a row"),
    "followed": ("{np}, each followed by '{c}'", "{np} with '{c}' appended to each"),
    "preceded": ("{np}, each preceded by '{c}'", "{np} with '{c}' put in front of each"),
}
_ARRANGE: dict[str, tuple[str, ...]] = {
    "reversed": ("in reverse order", "from last to first"),
    "ascending": ("sorted in ascending order", "sorted from smallest to largest"),
    "descending": ("sorted in descending order", "sorted from largest to smallest"),
    "distinct": ("without repetitions, in the order of first appearance", "each different one only once, in order"),
    "first": ("but only the first {c} of them", "limited to the first {c} of these"),
    "without_first": ("leaving out the first {c} of them", "without the first {c} of these"),
    "every_second": (
        "but only every second one, starting with the first",
        "keeping only those at even positions, counted from 0",
    ),
}
_FOLDS: dict[str, tuple[str, ...]] = {
    "list": ("returns a list of {what}", "gives back a list with {what}", "returns {what} as a list"),
    "sum": ("returns the sum of {what}", "adds up {what} and returns the total", "computes the sum of {what}"),
    "product": ("returns the product of {what}", "multiplies {what} together and returns the result"),
    "count": ("returns how many there are of {what}", "counts {what}", "returns the number of {what}"),
    "largest": ("returns the largest of {what}, or {c} if there are none",
                "finds the maximum of {what} ({c} if there are none)"),
    "smallest": ("returns the smallest of {what}, or {c} if there are none",
                 "finds the minimum of {what} ({c} if there are none)"),
    "any": ("tells whether there are any of {what}", "returns true if there is at least one among {what}"),
    "none": ("tells whether there are none of {what}", "returns true if there is not a single one among {what}"),
    "joined": ("returns {what} joined into one string{sep}", "joins {what} into a single string{sep}"),
    "longest": ("returns the longest of {what} (the first of equals, an empty string if there are none)",
                "finds the longest among {what} (the first of several, an empty string if there are none)"),
}  # fmt: skip
_OPENERS = (
    "Write a function {name} that takes {given} and {does}.",
    "Write a function called {name}. It takes {given} and {does}.",
    "Create a function {name} that, given {given}, {does}.",
    "Implement a function {name}: it receives {given} and {does}.",
    "Given {given}, write a function {name} that {does}.",
    "I need a function {name} which takes {given} and {does}.",
    "{name} should take {given}. It {does}. Write this function.",
)
_WITHOUT_NAME = (
    "Write a function that takes {given} and {does}.",
    "Given {given}, write a function that {does}.",
    "I need a function which takes {given} and {does}.",
)


def describe(spec: Spec, name: str, draw: random.Random) -> str:
    """A description in words; one in five does not name the function."""
    what = _noun_phrase(spec, draw)
    if spec.mapping is not None:
        what = _words(_MAPPINGS[spec.mapping.name], draw, spec.mapping, np=what)
    if spec.arrange is not None:
        what = f"{what}, {_words(_ARRANGE[spec.arrange.name], draw, spec.arrange)}"
    separator = spec.fold.constants[0] if spec.fold.name == "joined" else ""
    told = {"": "", " ": ", separated by single spaces"}.get(str(separator), f", separated by '{separator}'")
    if spec.fold.name == "joined" and spec.arrange is None and separator == "" and spec.source == "letters":
        told = " in their order"
    does = _words(_FOLDS[spec.fold.name], draw, spec.fold, what=what, sep=told)
    opener = draw.choice(_OPENERS if draw.random() < 0.8 else _WITHOUT_NAME)
    sentence = opener.format(name=name, given=draw.choice(_GIVEN[spec.source]), does=does)
    return sentence[:1].upper() + sentence[1:] if not sentence.startswith(name) else sentence


def snake_name(spec: Spec, draw: random.Random) -> str:
    """A name that tells the most of what the function does, in small letters joined by underscores."""
    fold = "" if spec.fold.name == "list" else spec.fold.name
    told = [spec.arrange.name] if spec.arrange else []
    told += [spec.mapping.name] if spec.mapping else []
    told += [_short(spec.tests[0], draw)] if spec.tests else []
    kept = [part for part in told if draw.random() < 0.75] if len(told) > 1 else told
    if not fold and not kept:
        kept = told[:1]
    return "_".join(part for part in (fold, *kept, spec.source) if part)


def in_language(name: str, language: str) -> str:
    """The name as a language writes names: with underscores in Python, with capitals inside elsewhere."""
    if language == "python":
        return name
    first, *others = name.split("_")
    return first + "".join(part.capitalize() for part in others)


def _noun_phrase(spec: Spec, draw: random.Random) -> str:
    """The elements that are kept: "the even numbers" is said as "the numbers that are even"."""
    noun = draw.choice(_NOUNS[spec.source])
    if not spec.tests:
        return f"{draw.choice(('the', 'all the', 'all'))} {noun}"
    tests = f" {spec.joint} ".join(_words(_TESTS[test.name], draw, test) for test in spec.tests)
    return f"{draw.choice(('the', 'all', 'those'))} {noun} {draw.choice(('that', 'which'))} {tests}"


def _words(choices: tuple[str, ...], draw: random.Random, operation: Operation, **names: str) -> str:
    constant = operation.constants[0] if operation.constants else ""
    spelled = isinstance(constant, int) and 0 <= constant < len(_NUMBERS) and draw.random() < 0.2
    return draw.choice(choices).format(c=_NUMBERS[int(constant)] if spelled else constant, **names)


def _short(test: Operation, draw: random.Random) -> str:
    constant = str(test.constants[0]).replace("-", "minus_") if test.constants else ""
    return f"{test.name}_{constant}" if constant and draw.random() < 0.5 else test.name
