#!/usr/bin/env bash
# The shipped recipe end to end: the parent answers prompts, the data are cleaned, holes are cut, the adapter is trained
# and measured. One dial: --budget (time of the training; the answers take about as long again).
#   runs/train_default.sh --data FOLDER [--budget 20m] [--device cpu|cuda] [--work FOLDER]
#                         [--benchmarks "FILE ..."] [--hashed FILE]
# --data is a folder of JSON lines with mbpp_001_010_511_974, 30_seconds/python and doc_functions/python for the prompts;
# all other files in it are learned, too. Run it again after a stop: what is done is not done again.
# PYTHON names the interpreter (default: python).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

data="" budget=20m device=cpu work="" benchmarks="" hashed=""
while [ $# -gt 0 ]; do
    case "$1" in
        --data) data="$2"; shift 2 ;;
        --budget) budget="$2"; shift 2 ;;
        --device) device="$2"; shift 2 ;;
        --work) work="$2"; shift 2 ;;
        --benchmarks) benchmarks="$2"; shift 2 ;;
        --hashed) hashed="$2"; shift 2 ;;
        *) echo "runs/train_default.sh: $1 is unknown; the first lines of this script tell its flags." >&2; exit 2 ;;
    esac
done
[ -n "$data" ] || { echo "runs/train_default.sh: --data FOLDER is needed." >&2; exit 2; }
python="${PYTHON:-python}"
[ -n "$work" ] || work="${AGD_HOME:-${XDG_DATA_HOME:-$HOME/.local/share}/agentic-diffusion}/training/$budget-$device"
mkdir -p "$work"
model="$("$python" -m agentic_diffusion models where)"

# Prompts and rows that the budget can use: 12 prompts and 20 rows of each file a minute, within bounds.
minutes="$("$python" -c 'import sys; from agentic_diffusion.foundation.resources import parse_duration as p; print(max(1, round(p(sys.argv[1]) / 60)))' "$budget")"
prompts=$((minutes * 12 < 1200 ? minutes * 12 : 1200))
rows=$((minutes * 20 < 4000 ? minutes * 20 : 4000))
batch=$((prompts < 60 ? prompts : 60))

"$python" runs/train_adapter.py answers --model "$model" --data "$data" --count "$prompts" --batch "$batch" \
    --out "$work/answers.jsonl"
guard=()
for file in $benchmarks; do guard+=(--benchmark "$file"); done
[ -z "$hashed" ] || guard+=(--hashed "$hashed")
"$python" -m agentic_diffusion train --data "$data" --rows "$rows" --answers "$work/answers.jsonl" \
    --share answer=0.5 --share hole=0.35 --share solution=0.15 --fresh --budget "$budget" --device "$device" \
    --skip broken-lines --skip licences --skip benchmark-rows ${guard[@]+"${guard[@]}"} --out "$work/adapter"
"$python" benchmarks/adapter_training.py "$work/adapter/log.jsonl" "$work/adapter/adapter.safetensors" \
    --out "$work/adapter_training.json" --command "runs/train_default.sh --budget $budget --device $device"
echo "adapter: $work/adapter/adapter.safetensors; curve: $work/adapter/loss.svg; figures: $work/adapter_training.json" >&2
