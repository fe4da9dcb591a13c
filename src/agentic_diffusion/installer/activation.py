"""Activation of a shell: `agd` on its PATH, with completions; and the exact way back.

    eval "$(agd shell bash)"        agd_deactivate
    agd shell fish | source

Everything that is set has a name that begins with _agd or AGD; what was there before (the PATH, a completion of agd) is
kept and put back. Standard library only.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

from agentic_diffusion.foundation.errors import UsageError

Shell = Literal["bash", "zsh", "fish", "powershell"]
SHELLS: tuple[str, ...] = get_args(Shell)
HOW: Mapping[str, str] = {
    "bash": 'eval "$(agd shell bash)"',
    "zsh": 'eval "$(agd shell zsh)"',
    "fish": "agd shell fish | source",
    "powershell": "agd shell powershell | Out-String | Invoke-Expression",
}
"""The line that activates, by shell."""

_POSIX = """\
if [ -n "${AGD_ACTIVE-}" ] && command -v agd_deactivate >/dev/null 2>&1; then agd_deactivate; fi
_agd_old_path=$PATH
PATH=@FOLDER@:$PATH
export PATH
_agd_new_path=$PATH
export AGD_ACTIVE=@FOLDER@
_agd_words() {
    case $1 in
@CASES@
    esac
}
@COMPLETE@
agd_deactivate() {
    # What was added to PATH since then stays; only our folder goes.
    if [ "$PATH" = "$_agd_new_path" ]; then
        PATH=$_agd_old_path
    else
        PATH=$(printf '%s' ":$PATH:" | awk -v gone=@FOLDER@ 'BEGIN { RS = ":"; ORS = "" }
            $0 != "" && ($0 != gone || seen++) { print sep $0; sep = ":" }')
    fi
    export PATH
@UNCOMPLETE@
    unset AGD_ACTIVE _agd_old_path _agd_new_path @NAMES@
    unset -f _agd_words _agd_complete agd_deactivate
    hash -r 2>/dev/null || true
}
hash -r 2>/dev/null || true
"""
_BASH_COMPLETE = """\
_agd_old_complete=$(complete -p agd 2>/dev/null || true)
_agd_complete() {
    local path=agd word number=1
    while [ "$number" -lt "$COMP_CWORD" ]; do
        word=${COMP_WORDS[number]}
        if [ -n "$(_agd_words "$path $word")" ]; then path="$path $word"; fi
        number=$((number + 1))
    done
    COMPREPLY=($(compgen -W "$(_agd_words "$path")" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _agd_complete agd"""
_BASH_UNCOMPLETE = """\
    complete -r agd 2>/dev/null || true
    if [ -n "$_agd_old_complete" ]; then eval "$_agd_old_complete"; fi"""
_ZSH_COMPLETE = """\
_agd_old_complete=${_comps[agd]-}
_agd_complete() {
    local way=agd word
    for word in ${words[2,CURRENT-1]}; do
        if [ -n "$(_agd_words "$way $word")" ]; then way="$way $word"; fi
    done
    compadd -- ${(s: :)$(_agd_words "$way")}
}
if command -v compdef >/dev/null 2>&1; then compdef _agd_complete agd; fi"""
_ZSH_UNCOMPLETE = """\
    if command -v compdef >/dev/null 2>&1; then
        if [ -n "$_agd_old_complete" ]; then compdef "$_agd_old_complete" agd; else compdef -d agd; fi
    fi"""
_FISH = """\
if set -q AGD_ACTIVE; and functions -q agd_deactivate; agd_deactivate; end
set -g _agd_old_path $PATH
set -gx PATH @FOLDER@ $PATH
set -g _agd_new_path $PATH
set -gx AGD_ACTIVE @FOLDER@
function _agd_words
    switch "$argv[1]"
@CASES@
    end
end
function _agd_complete
    set -l path agd
    for word in (commandline -opc)[2..-1]
        if test -n "$(_agd_words "$path $word")"; set path "$path $word"; end
    end
    _agd_words $path | string split ' '
end
complete -c agd -a '(_agd_complete)'
function agd_deactivate
    if test "$PATH" = "$_agd_new_path"
        set -gx PATH $_agd_old_path
    else
        set -l place (contains -i -- @FOLDER@ $PATH); and set -e PATH[$place]
    end
    complete -c agd -e
    set -e AGD_ACTIVE; set -e _agd_old_path; set -e _agd_new_path
    functions -e _agd_words _agd_complete agd_deactivate
end
"""
_POWERSHELL = """\
if ($env:AGD_ACTIVE -and (Test-Path function:agd_deactivate)) { agd_deactivate }
$global:_agd_old_path = $env:PATH
$env:PATH = @FOLDER@ + [IO.Path]::PathSeparator + $env:PATH
$global:_agd_new_path = $env:PATH
$env:AGD_ACTIVE = @FOLDER@
$global:_agd_words = @{
@CASES@
}
Register-ArgumentCompleter -Native -CommandName agd -ScriptBlock {
    param($word, $tree, $cursor)
    if (-not $global:_agd_words) { return }
    $path = 'agd'
    foreach ($part in $tree.CommandElements | Select-Object -Skip 1) {
        if ($global:_agd_words.ContainsKey("$path $part")) { $path = "$path $part" }
    }
    $global:_agd_words[$path] -split ' ' | Where-Object { $_ -like "$word*" }
}
function global:agd_deactivate {
    if ($env:PATH -eq $global:_agd_new_path) { $env:PATH = $global:_agd_old_path }
    else {
        $sep = [IO.Path]::PathSeparator
        $env:PATH = (($env:PATH -split [regex]::Escape($sep)) | Where-Object { $_ -ne @FOLDER@ }) -join $sep
    }
    Remove-Item Env:AGD_ACTIVE
    Remove-Variable -Scope global _agd_old_path, _agd_new_path, _agd_words
    Remove-Item function:agd_deactivate
}
"""


def script(shell: str, folder: str, words: Mapping[str, Sequence[str]]) -> str:
    """The text that a shell evaluates to have `folder` on its PATH and to complete `agd`.

    `words` are the words that may come after a command: {"agd": ["deps", ...], "agd deps": ["graph", "--help", ...]}.
    Raises UsageError for a shell that is not in `SHELLS` and a folder that PATH cannot hold.
    """
    if shell not in SHELLS:
        raise UsageError(f"{shell!r} is not a shell that is known.", hint=f"Known are {', '.join(SHELLS)}.")
    if ":" in folder or "\n" in folder:
        raise UsageError(f"The folder {folder!r} cannot stand in PATH.", hint="Move it to a path without a colon.")
    known = {path: " ".join(after) for path, after in sorted(words.items())}
    if shell in ("bash", "zsh"):
        complete, back = (_BASH_COMPLETE, _BASH_UNCOMPLETE) if shell == "bash" else (_ZSH_COMPLETE, _ZSH_UNCOMPLETE)
        cases = [f"        {shlex.quote(path)}) printf '%s' {shlex.quote(after)} ;;" for path, after in known.items()]
        text = _POSIX.replace("@COMPLETE@", complete).replace("@UNCOMPLETE@", back)
        text = text.replace("@NAMES@", "_agd_old_complete")
        quoted = shlex.quote(folder)
    elif shell == "fish":
        quoted = "'" + folder.replace("\\", "\\\\").replace("'", "\\'") + "'"
        cases = [f"        case '{path}'\n            echo '{after}'" for path, after in known.items()]
        text = _FISH
    else:
        quoted = "'" + folder.replace("'", "''") + "'"
        cases = [f"    '{path}' = '{after}'" for path, after in known.items()]
        text = _POWERSHELL
    return text.replace("@FOLDER@", quoted).replace("@CASES@", "\n".join(cases))
