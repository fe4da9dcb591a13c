"""Errors of syntax that no grammar can say, found in the text of a program that may still go on.

`certain` is True only when whatever follows cannot mend the text; a name at its very end may still grow, so it is not
looked at. It may also refuse a valid program of an unusual shape; it must never let an error pass.

python                   an old octal or a number run into `or`
javascript, typescript   a name declared twice in a scope (let, const, class, function, parameter, caught value), and,
                         in TypeScript, a key given twice in an object; a module with two defaults, or a line that
                         begins with `from` behind `export {...}`
java                     a method without a type, or a record's short constructor, that is not named like its class
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_PYTHON = re.compile(r"(?<![\w.])0[oO]")
_JAVA_LEXEMES = re.compile(
    r"//[^\n]*|/\*.*?(?:\*/|\Z)"
    r'|"""(?:\\.|(?!""").)*(?:"""|\Z)|"(?:\\.|[^"\\\n])*(?:"|\Z)'
    r"|'(?:\\.|[^'\\\n])*(?:'|\Z)"
    r"|[A-Za-z_$][\w$]*|\d[\w.]*|[^\s\w]",
    re.DOTALL,
)
_JS_LEXEMES = re.compile(
    r"//[^\n]*|/\*.*?(?:\*/|\Z)"
    r"|\"(?:\\.|[^\"\\\n])*(?:\"|\Z)|'(?:\\.|[^'\\\n])*(?:'|\Z)"
    r"|[A-Za-z_$][\w$]*|\d[\w.]*|=>|\.\.\.|[^\s\w]",
    re.DOTALL,
)
_JS_REGEX = re.compile(r"/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n\[])+(?:/[a-z]*|\Z)")
_JS_TEMPLATE = re.compile(r"(?:\\.|\$(?!\{)|[^`\\$])*(?:`|\$\{|\\?\Z)", re.DOTALL)
_NODE = frozenset({"exports", "require", "module", "__filename", "__dirname"})
_BLOCKS = frozenset({"if", "while", "for", "switch", "catch", "with"})


def certain(language: str, text: str) -> bool:
    """Whether the program that begins with `text` has an early error for certain."""
    if language == "python":
        return "0o" in text.lower() and _PYTHON.search(_without_literals(text)) is not None
    if language == "java":
        return _java(text)
    if language in ("javascript", "typescript"):
        return _ecmascript(text, keys=language == "typescript")
    return False


def _without_literals(text: str) -> str:
    return re.sub(r'"""(?:.|\n)*?(?:"""|\Z)|"(?:\\.|[^"\\\n])*"?|\'(?:\\.|[^\'\\\n])*\'?|#[^\n]*', " ", text)


def _java(text: str) -> bool:
    """A member `name(` without a type whose name is not the class's."""
    owners: list[str | None] = [None]
    pending: str | None = None
    before, last = "", ""
    lexemes = [m[0] for m in _JAVA_LEXEMES.finditer(text) if not m[0].startswith(("//", "/*"))]
    for index, lexeme in enumerate(lexemes):
        following = lexemes[index + 1] if index + 1 < len(lexemes) else ""
        if lexeme in ("class", "interface", "enum", "record") and last != "." and _is_name(following):
            pending = following
        elif lexeme == "{":
            owners.append(pending)
            pending = None
        elif lexeme == "}" and len(owners) > 1:
            owners.pop()
        elif following == "{" and _is_name(lexeme) and owners[-1] is not None and "record" in lexemes:
            bare = last in ("{", "}", ";", "public", "private", "protected") or before == "@"
            if bare and lexeme not in (owners[-1], "static") and "enum" not in lexemes:
                return True
        elif following == "(" and _is_name(lexeme) and owners[-1] is not None and lexeme != owners[-1]:
            bare = last in ("{", "}", ";", ")", "public", "private", "protected") or before == "@"
            constant = last in ("{", ",") and "enum" in lexemes
            if bare and not constant and lexeme not in ("if", "for", "while", "switch", "synchronized", "catch"):
                return True
        before, last = last, lexeme
    return False


def _is_name(lexeme: str) -> bool:
    return lexeme[:1].isalpha() or lexeme[:1] in ("_", "$")


@dataclass
class _Scope:
    """A pair of braces, or the head of a loop."""

    function: bool
    fixed: set[str] = field(default_factory=set)
    """Names declared by let, const, class, function."""
    loose: set[str] = field(default_factory=set)
    """Names that `var` declared here or in a scope within."""
    params: set[str] = field(default_factory=set)
    keys: set[str] | None = None
    """Keys of an object; None where the braces hold statements."""
    head: bool = False


def _lexemes(text: str) -> list[str]:
    """The lexemes of a script without comments; a template is its pieces, a regular expression `/`."""
    found: list[str] = []
    templates: list[int] = []
    place = depth = 0
    while place < len(text):
        character = text[place]
        if character == "`" or (character == "}" and templates and templates[-1] == depth):
            if character == "}":
                templates.pop()
                found.append(")")
            match = _JS_TEMPLATE.match(text, place + 1)
            assert match is not None
            place = match.end()
            if match[0].endswith("${"):
                templates.append(depth)
                found += ["+", "("]
            else:
                found.append('""')
            continue
        regex = _JS_REGEX.match(text, place) if character == "/" and _operand_next(found) else None
        match = regex if regex and text[place : place + 2] not in ("//", "/*") else _JS_LEXEMES.match(text, place)
        if match is None:
            place += 1
            continue
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if match is regex:
            found.append('""')
        elif not match[0].startswith(("//", "/*")):
            found.append(match[0])
        place = match.end()
    if found and re.search(r"[\w$]\Z", text) and _is_name(found[-1]):
        found[-1] = ""  # may still grow
    return found


def _operand_next(found: list[str]) -> bool:
    return not found or found[-1] in set("(,=:[!&|?{};+-*%<>~^") | {"return", "typeof", "=>", "in", "of", "case", "..."}


def _ecmascript(text: str, *, keys: bool) -> bool:
    return _Script(_lexemes(text), keys=keys).broken()


class _Script:
    """One pass over the lexemes of a script."""

    def __init__(self, lexemes: list[str], *, keys: bool) -> None:
        self.lexemes, self.with_keys = lexemes, keys
        self.scopes = [_Scope(function=True, params=set(_NODE))]
        self.parens: list[int] = []
        self.closed: dict[int, int] = {}

    def broken(self) -> bool:
        """Whether a name or a key is given twice."""
        for index, lexeme in enumerate(self.lexemes):
            if lexeme == "(":
                self.parens.append(index)
                if self._at(index - 1) == "for":
                    self.scopes.append(_Scope(function=False, head=True))
            elif lexeme == ")" and self.parens:
                self._close_paren(index)
            elif lexeme == "{":
                if not self._open(index):
                    return True
            elif lexeme == "}" and len(self.scopes) > 1:
                self.scopes.pop()
                if self.scopes[-1].head and self._at(self.parens[-1] if self.parens else -1) != "for":
                    self._leave_head()
            elif not self._declared(index) or not self._key(index):
                return True
        return False

    def _at(self, index: int) -> str:
        return self.lexemes[index] if 0 <= index < len(self.lexemes) else ""

    def _leave_head(self) -> None:
        if len(self.scopes) > 1 and self.scopes[-1].head:
            self.scopes.pop()

    def _close_paren(self, index: int) -> None:
        begin = self.parens.pop()
        self.closed[index] = begin
        if self._at(begin - 1) == "for" and self._at(index + 1) not in ("{", ""):
            self._leave_head()

    def _open(self, index: int) -> bool:
        """Enter braces; False when parameters of a function clash."""
        last = self._at(index - 1)
        scope = _Scope(function=False)
        names: list[str] = []
        if last == "=>":
            scope.function = True
            names = self._arrow_names(index - 1)
        elif last == ")" and index - 1 in self.closed:
            begin = self.closed[index - 1]
            owner = self._at(begin - 1)
            scope.function = owner not in _BLOCKS
            names = self._bound(begin + 1, index - 1) if scope.function or owner == "catch" else []
        elif last in ("(", ",", "=", ":", "[", "?", "return", "&", "|"):
            scope.keys = set()
        scope.params = set(names)
        self.scopes.append(scope)
        return len(set(names)) == len(names)

    def _arrow_names(self, arrow: int) -> list[str]:
        before = self._at(arrow - 1)
        if before == ")" and arrow - 1 in self.closed:
            return self._bound(self.closed[arrow - 1] + 1, arrow - 1)
        return [before] if _is_name(before) else []

    def _declared(self, index: int) -> bool:
        """Take in what a declaration at `index` names; False when a name is taken."""
        lexeme, last = self.lexemes[index], self._at(index - 1)
        if lexeme == "=>":
            names = self._arrow_names(index)
            return len(set(names)) == len(names)
        if lexeme == "default" and last == "export":
            return self._fix("export default")
        if last in (".", "?.") or self._at(index + 1) in (":", "("):
            return True
        declare = {"let": self._fix, "const": self._fix, "var": self._loosen}.get(lexeme)
        if declare is not None and last not in ("<", ","):  # a type parameter may be const
            return all(declare(name) for name in self._bound_until(index + 1))
        if lexeme in ("class", "function") and _is_name(self._at(index + 1)):
            name, begins = self._at(index + 1), last in ("", ";", "}", "{", ")", "else", "export", "default")
            statement = begins or (last not in set("=(,:[?!&|+") | {"return", "=>", "new", "typeof"})
            overload = self.with_keys and lexeme == "function" and name in self.scopes[-1].fixed
            return not statement or name == "extends" or overload or self._fix(name)
        return self._module(index)

    def _module(self, index: int) -> bool:
        """Take in what an import names or a module exports; False when that is taken, or cannot be."""
        lexeme, last, following = self.lexemes[index], self._at(index - 1), self._at(index + 1)
        if lexeme == "import" and len(self.scopes) == 1:
            return all(self._fix(name) for name in self._imported(index + 1))
        if lexeme == "from" and last == "}" and following and self._exports(index - 1):
            return following[0] in "'\""
        return True

    def _imported(self, begin: int) -> list[str]:
        """The names that the import with this first lexeme binds."""
        names: list[str] = []
        for index in range(begin, len(self.lexemes)):
            lexeme = self.lexemes[index]
            if lexeme in (";", "from", '""', "") or lexeme[0] in "'\"":
                break
            if _is_name(lexeme) and lexeme not in ("as", "type") and self._at(index + 1) != "as":
                names.append(lexeme)
        return names

    def _exports(self, end: int) -> bool:
        """Whether the braces that close at `end` are those of `export {...}`."""
        begin = next((index for index in range(end - 1, -1, -1) if self.lexemes[index] in "{;()="), 0)
        return self.lexemes[begin] == "{" and self._at(begin - 1) in ("export", "type")

    def _fix(self, name: str) -> bool:
        scope = self.scopes[-1]
        if name in scope.fixed or name in scope.loose or name in scope.params:
            return False
        scope.fixed.add(name)
        return True

    def _loosen(self, name: str) -> bool:
        for scope in reversed(self.scopes):
            if name in scope.fixed:
                return False
            scope.loose.add(name)
            if scope.function:
                break
        return True

    def _key(self, index: int) -> bool:
        """Note a key of an object; False when it was given before."""
        keys = self.scopes[-1].keys
        if not self.with_keys or keys is None or self._at(index - 1) not in ("{", ","):
            return True
        lexeme, following = self.lexemes[index], self._at(index + 1)
        if not lexeme or (self.parens and index > self.parens[-1] and self._inside_parens(index)):
            return True
        name = lexeme.strip("\"'")
        if following in (":", ",", "}", "(") and (lexeme[0].isalnum() or lexeme[0] in "_$\"'"):
            if name in keys:
                return False
            keys.add(name)
        return True

    def _inside_parens(self, index: int) -> bool:
        """Whether a parenthesis was opened within the innermost braces."""
        depth = 0
        for back in range(index - 1, -1, -1):
            depth += {"}": 1, ")": 1, "]": 1, "{": -1, "(": -1, "[": -1}.get(self.lexemes[back], 0)
            if depth < 0:
                return self.lexemes[back] != "{"
        return False

    def _bound_until(self, begin: int) -> list[str]:
        """The names that the declaration beginning at `begin` binds."""
        depth, end = 0, begin
        while end < len(self.lexemes):
            lexeme = self.lexemes[end]
            depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(lexeme, 0)
            if depth < 0 or (depth == 0 and lexeme in (";", "of", "in")):
                break
            if depth == 0 and end > begin and self._new_statement(end):
                break
            end += 1
        return self._bound(begin, end)

    def _new_statement(self, index: int) -> bool:
        """Whether a statement begins here without a semicolon before it: two operands in a row."""
        lexeme, last = self.lexemes[index], self.lexemes[index - 1]
        words = (
            "typeof",
            "new",
            "void",
            "delete",
            "instanceof",
            "as",
            "function",
            "class",
            "extends",
            "keyof",
            "readonly",
        )
        if lexeme in ("let", "const", "var", "return", "if", "for", "while", "throw", "switch", "try", "do", "break"):
            return True
        ends = last[:1].isalnum() or last[:1] in ("_", "$", '"', "'") or last in (")", "]", "}")
        return ends and last not in words and lexeme not in words and _is_name(lexeme)

    def _bound(self, begin: int, end: int) -> list[str]:
        """The names that a list of bindings binds: not keys before a colon, defaults, or types after a colon."""
        names: list[str] = []
        stack: list[str] = []
        skipping, angles, in_type = -1, 0, False
        for index in range(begin, end):
            lexeme = self.lexemes[index]
            if skipping >= 0 and in_type and lexeme in ("<", ">"):
                angles = max(0, angles + (1 if lexeme == "<" else -1))  # commas between type arguments
            elif lexeme in "([{" and lexeme:
                stack.append(lexeme)
            elif lexeme in ")]}" and lexeme and stack:
                if skipping == len(stack):
                    skipping = -1
                stack.pop()
            elif lexeme == "," and skipping == len(stack) and not angles:
                skipping = -1
            elif lexeme == "=" and skipping == len(stack):
                angles, in_type = 0, False
            elif skipping >= 0 and skipping <= len(stack):
                continue
            elif lexeme == "=" or (lexeme == ":" and "{" not in stack[-1:]):
                skipping, angles, in_type = len(stack), 0, lexeme == ":"
            elif _is_name(lexeme) and not (stack[-1:] == ["{"] and self._at(index + 1) == ":"):
                names.append(lexeme)
        return [name for name in names if name not in ("public", "private", "protected", "readonly")]
