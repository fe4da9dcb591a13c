#!/usr/bin/env bash
# The maze planner from nothing to its table: train, improve, compare, draw. One dial: --size smoke|short|full.
#   runs/maze.sh --size full [--work FOLDER]
# Run it again after a stop: what is done is not done again. PYTHON names the interpreter (default: python).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

size=full
work=""
while [ $# -gt 0 ]; do
    case "$1" in
        --size) size="$2"; shift 2 ;;
        --work) work="$2"; shift 2 ;;
        *) echo "runs/maze.sh: $1 is unknown; --size smoke|short|full and --work FOLDER are." >&2; exit 2 ;;
    esac
done
python="${PYTHON:-python}"
[ -n "$work" ] || work="${AGD_HOME:-${XDG_DATA_HOME:-$HOME/.local/share}/agentic-diffusion}/maze/$size"
out="$work/maze.json"
[ "$size" = full ] && out=benchmarks/results/maze.json

"$python" runs/maze.py --size "$size" --work "$work"
"$python" benchmarks/maze.py --size "$size" --work "$work" --out "$out"
for maze in umaze medium large; do
    case $maze in umaze) goal=1,1; start=3,1 ;; medium) goal=6,6; start=1,1 ;; large) goal=7,9; start=1,1 ;; esac
    "$python" -m agentic_diffusion plan --maze "$maze" --start "$start" --goal "$goal" \
        --model "$work/evolved.safetensors" --out "$work/$maze.png" --animate "$work/$maze.gif"
done
echo "table: $out; pictures: $work" >&2
