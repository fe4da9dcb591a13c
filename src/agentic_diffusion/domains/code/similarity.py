"""How alike two programs are: CodeBLEU (Ren et al. 2020, arXiv 2009.10297, eq. 1), of our own making.

    CodeBLEU = a BLEU + b BLEU_weight + c Match_ast + d Match_df,    a = b = c = d = 1/4

BLEU is that of lexemes (Papineni et al. 2002, with the brevity penalty); in BLEU_weight a keyword counts five times
among the single lexemes. The two matches are Dice shares of subtrees and of data-flow edges, 2 |A and B| / (|A| + |B|),
where Ren et al. divide by the reference alone: so they are symmetric, and a candidate that holds the reference and much
else is no full match. Names of variables do not count in the data flow: they are numbered as they come.
All shares lie in [0, 1].
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

from tree_sitter import Node

from agentic_diffusion.domains.code.languages.trees import text
from agentic_diffusion.domains.code.syntax import Syntax, leaves, syntax, variables

KEYWORD_WEIGHT = 5.0
"""How much more a keyword counts (Ren et al. 2020, section 3.2)."""
LONGEST = 4
"""Lexemes of the longest n-grams."""


@dataclass(frozen=True, kw_only=True)
class Similarity:
    """How alike a candidate is to a reference, each part in [0, 1]."""

    ngram: float
    """BLEU of the lexemes."""
    weighted_ngram: float
    """BLEU in which keywords count more."""
    subtree: float
    """Dice share of the subtrees of the syntax trees."""
    data_flow: float
    """Dice share of the data-flow edges; 1 where neither program has any."""

    @property
    def code_bleu(self) -> float:
        """Ren et al. 2020, eq. 1, all four parts alike."""
        return (self.ngram + self.weighted_ngram + self.subtree + self.data_flow) / 4


def similarity(candidate: str, reference: str, language: str) -> Similarity:
    """Compare two programs of one language; UsageError for a language without a table (see `syntax`).

    A program that does not parse is compared by what of its tree is there.
    """
    table = syntax(language)
    trees = table.parse(candidate), table.parse(reference)
    left, right = ([text(node) for node in leaves(tree, table)] for tree in trees)
    return Similarity(
        ngram=bleu(left, right, frozenset()),
        weighted_ngram=bleu(left, right, table.keywords),
        subtree=dice(*(_subtrees(tree, table) for tree in trees)),
        data_flow=dice(*(data_flow(tree, table) for tree in trees)),
    )


def bleu(candidate: Sequence[str], reference: Sequence[str], keywords: frozenset[str]) -> float:
    """Geometric mean of the clipped n-gram precisions times the brevity penalty; 1 for two empty texts.

    n goes up to 4, or to the shorter length. `keywords` weigh more among the single lexemes. Precisions above n = 1
    are smoothed by adding one to both counts (Lin and Och 2004), so that one missing 4-gram is not the end.
    """
    if not candidate or not reference:
        return float(not candidate and not reference)
    logs = []
    for size in range(1, min(LONGEST, len(candidate), len(reference)) + 1):
        have, want = _ngrams(candidate, size), _ngrams(reference, size)
        heavy = {gram for gram in have if size == 1 and gram[0] in keywords}
        weights = {gram: KEYWORD_WEIGHT if gram in heavy else 1.0 for gram in have}
        matched = sum(min(count, want[gram]) * weights[gram] for gram, count in have.items())
        total = sum(count * weights[gram] for gram, count in have.items())
        smooth = float(size > 1)
        if matched + smooth == 0:
            return 0.0
        logs.append(math.log((matched + smooth) / (total + smooth)))
    brevity = min(0.0, 1 - len(reference) / len(candidate))
    return math.exp(sum(logs) / len(logs) + brevity)


def dice(left: Counter[str], right: Counter[str]) -> float:
    """2 |A and B| / (|A| + |B|) of two multisets; 1 for two empty ones."""
    total = left.total() + right.total()
    return 2 * (left & right).total() / total if total else 1.0


def data_flow(root: Node, table: Syntax) -> Counter[str]:
    """Edges between variables, numbered as they come: what a value is computed from, which value is read."""
    occurrences = variables(root, table)
    numbers: dict[str, int] = {}
    for occurrence in occurrences:
        numbers.setdefault(occurrence.name, len(numbers))
    edges: Counter[str] = Counter()
    versions: Counter[str] = Counter()
    for occurrence in occurrences:
        number = numbers[occurrence.name]
        if occurrence.binds:
            versions[occurrence.name] += 1
            sources = [name for name in occurrence.sources if name in numbers]
            edges.update(f"{number} computed from {numbers[name]}" for name in sources)
            if not sources:
                edges[f"{number} given"] += 1
        else:
            edges[f"{number} read at version {versions[occurrence.name]}"] += 1
    return edges


def _subtrees(root: Node, table: Syntax) -> Counter[str]:
    """All inner nodes with the shape of what is below them; names and literals themselves are left out."""
    shapes: dict[int, str] = {}
    found: Counter[str] = Counter()
    waiting = [(root, False)]
    while waiting:
        node, seen = waiting.pop()
        if node.type in table.comments:
            continue
        children = [child for child in node.named_children if child.type not in table.comments]
        if not children:
            shapes[node.id] = node.type
        elif seen:
            below = " ".join(shapes[child.id] for child in children)
            # A digest in place of the text keeps deep trees small; equal shapes stay equal.
            shapes[node.id] = (
                f"({node.type} {below})" if len(below) < 200 else f"({node.type} {blake2b(below.encode()).hexdigest()})"
            )
            found[shapes[node.id]] += 1
        else:
            waiting.append((node, True))
            waiting += [(child, False) for child in children]
    return found


def _ngrams(lexemes: Sequence[str], size: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(lexemes[place : place + size]) for place in range(len(lexemes) - size + 1))
