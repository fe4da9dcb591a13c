"""The graph of a lock: who needs whom, why something is here, cycles, duplicates, what a subtree costs.

    root ── click
      ├──── rich ── pygments
      └ dev  pytest               an edge knows the extra or group, and the marker, that it stands for

Standard library only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from agentic_diffusion.packages import markers
from agentic_diffusion.packages.lockfile import Artifact, Lock, Need, Package
from agentic_diffusion.packages.wheels import Machine


@dataclass(frozen=True, kw_only=True)
class Edge:
    """One package needs another."""

    parent: str
    """Key of the one that needs."""
    child: str
    """Key of the one that is needed."""
    via: str = ""
    """ "extra fast" or "group dev"; empty for what is always needed."""
    marker: str = ""
    """Where the need holds."""


@dataclass(frozen=True, kw_only=True)
class Graph:
    """Packages by key and the edges between them; made by `build`."""

    roots: tuple[str, ...]
    """Keys of the projects themselves."""
    packages: Mapping[str, Package]
    """Everything that the roots reach."""
    edges: tuple[Edge, ...]
    """All edges."""
    children: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Who is needed by a key, each once."""
    parents: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Who needs a key, each once."""

    def reach(self, starts: Iterable[str], *, without: str = "") -> set[str]:
        """Everything that `starts` need, themselves among it; never passing `without`."""
        return _reached(self.children, starts, without)

    def dependents(self, key: str) -> set[str]:
        """Everything that needs `key`, directly or not."""
        return _reached(self.parents, [key], "") - {key}

    def why(self, key: str) -> list[list[str]]:
        """One shortest chain from a root to `key` for each package that needs it directly, the shortest first."""
        if key in self.roots:
            return [[key]]
        chains = [[*chain, key] for parent in self.parents.get(key, ()) if (chain := self._shortest(parent, key))]
        return sorted(chains, key=lambda chain: (len(chain), chain))

    def cycles(self) -> list[list[str]]:
        """The groups of packages that need each other in a circle, each sorted (Tarjan 1972)."""
        return _strongly_connected(self.children)

    def duplicates(self) -> dict[str, list[str]]:
        """Names that are locked in several versions."""
        found: dict[str, list[str]] = {}
        for package in self.packages.values():
            found.setdefault(package.name, []).append(package.version)
        return {name: sorted(versions) for name, versions in sorted(found.items()) if len(versions) > 1}

    def only_through(self, key: str) -> set[str]:
        """What would be gone without `key`: itself, and what nothing else needs."""
        return set(self.packages) - self.reach(self.roots, without=key)

    def _shortest(self, target: str, avoid: str) -> list[str]:
        """The shortest chain from a root to `target` that does not pass `avoid`; empty when there is none."""
        came: dict[str, str] = {root: "" for root in self.roots if root != avoid}
        queue = deque(came)
        while queue:
            key = queue.popleft()
            if key == target:
                chain = [key]
                while came[chain[-1]]:
                    chain.append(came[chain[-1]])
                return chain[::-1]
            for child in self.children.get(key, ()):
                if child not in came and child != avoid:
                    came[child] = key
                    queue.append(child)
        return []


def build(lock: Lock, *, machine: Machine | None = None, extras: bool = True, groups: bool = True) -> Graph:
    """The graph of a lock; with a `machine`, of what is needed there alone.

    `extras` and `groups` say whether those of the projects themselves are counted. Extras of other packages are
    followed where something asks for them.
    """
    values = markers.environment(machine) if machine else None
    edges: dict[Edge, None] = {}
    packages = {root.key: root for root in lock.roots}
    todo: deque[tuple[Package, str, tuple[Need, ...]]] = deque()
    for root in lock.roots:
        todo.append((root, "", root.needs))
        if extras:
            todo.extend((root, f"extra {name}", needs) for name, needs in root.extras.items())
        if groups:
            todo.extend((root, f"group {name}", needs) for name, needs in root.groups.items())
    seen = {(root.key, "") for root in lock.roots}
    while todo:
        parent, via, needs = todo.popleft()
        for need in needs:
            child = lock.resolve(need)
            if child is None or (values is not None and not markers.holds(need.marker, values)):
                continue
            packages[child.key] = child
            if child.key != parent.key:
                edges[Edge(parent=parent.key, child=child.key, via=via, marker=need.marker)] = None
            for part in ("", *need.extras):
                if (child.key, part) not in seen:
                    seen.add((child.key, part))
                    asked = child.extras.get(part, ()) if part else child.needs
                    todo.append((child, f"extra {part}" if part else "", asked))
    return Graph(
        roots=tuple(root.key for root in lock.roots),
        packages=dict(sorted(packages.items())),
        edges=tuple(edges),
        children=_neighbours((edge.parent, edge.child) for edge in edges),
        parents=_neighbours((edge.child, edge.parent) for edge in edges),
    )


def download(package: Package, machine: Machine) -> Artifact | None:
    """The file of a package that a machine would fetch: the best wheel that fits, else the sources."""
    fitting = [wheel for wheel in package.wheels if wheel.wheel and wheel.wheel.fits(machine)]
    return max(fitting, key=_closeness, default=package.sdist)


def sizes(graph: Graph, machine: Machine) -> dict[str, dict[str, int]]:
    """Bytes to fetch for each key: itself ("own"), with all that it needs ("subtree"), freed without it ("freed")."""
    own = {key: file.size if (file := download(package, machine)) else 0 for key, package in graph.packages.items()}
    return {
        key: {
            "own": own[key],
            "subtree": sum(own[below] for below in graph.reach([key])),
            "freed": sum(own[gone] for gone in graph.only_through(key)),
        }
        for key in graph.packages
    }


def _closeness(artifact: Artifact) -> tuple[bool, bool, tuple[int, ...]]:
    """How closely a wheel was made for the machine that it fits: binary before pure, newest system tag first."""
    wheel = artifact.wheel
    if wheel is None:
        return (False, False, ())
    numbers = [tuple(int(part) for part in tag.split("_") if part.isdigit()) for tag in wheel.platforms]
    return ("any" not in wheel.platforms, "abi3" not in wheel.abis, max(numbers, default=()))


def _neighbours(pairs: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, dict[str, None]] = {}
    for one, other in pairs:
        found.setdefault(one, {})[other] = None
    return {one: tuple(sorted(others)) for one, others in found.items()}


def _reached(neighbours: Mapping[str, tuple[str, ...]], starts: Iterable[str], without: str) -> set[str]:
    seen = {start for start in starts if start != without}
    queue = deque(seen)
    while queue:
        for other in neighbours.get(queue.popleft(), ()):
            if other not in seen and other != without:
                seen.add(other)
                queue.append(other)
    return seen


def _strongly_connected(children: Mapping[str, tuple[str, ...]]) -> list[list[str]]:
    """Components of more than one node, without recursion."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    on_stack: set[str] = set()
    found: list[list[str]] = []
    for start in children:
        if start in index:
            continue
        work = [(start, iter(children.get(start, ())))]
        index[start] = low[start] = len(index)
        stack.append(start)
        on_stack.add(start)
        while work:
            node, rest = work[-1]
            for child in rest:
                if child not in index:
                    index[child] = low[child] = len(index)
                    stack.append(child)
                    on_stack.add(child)
                    work.append((child, iter(children.get(child, ()))))
                    break
                if child in on_stack:
                    low[node] = min(low[node], index[child])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    component: list[str] = []
                    while not component or component[-1] != node:
                        component.append(stack.pop())
                        on_stack.discard(component[-1])
                    if len(component) > 1:
                        found.append(sorted(component))
    return sorted(found)
