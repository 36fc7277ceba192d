#!/bin/sh
# The numbers and figures of docs/STUDY.md: make.sh MOESCOPE MODEL PROBE OUT
#
# MOESCOPE is the built binary, MODEL a checkpoint, PROBE a folder of DISCIPLINE.jsonl.zst with the columns id, discipline,
# genre and text. Traces and tables go to OUT. What is there already is kept, so an interrupted run goes on.
set -eu
moescope=$1 model=$2 probe=$3 out=$4
mkdir -p "$out"

# capture NAME DISCIPLINES [OPTIONS]
capture() {
    name=$1 disciplines=$2
    shift 2
    [ -e "$out/$name/manifest.json" ] && return
    files=
    for discipline in $disciplines; do files="$files $probe/$discipline.jsonl.zst"; done
    # The parts of a book or a paper are one group: what stands before the sign.
    # shellcheck disable=SC2086
    "$moescope" capture "$model" --data $files --group-before '#' --overlong truncate --out "$out/$name" "$@"
}

# table TRACE NAME [ARGUMENTS]: what is measured, as CSV
table() {
    trace=$1 name=$2
    shift 2
    [ -e "$out/$trace-$name.csv" ] && return
    "$moescope" measure "$out/$trace" "$@" --format csv --out "$out/$trace-$name.csv"
}

paper="math physics chemistry biology smiles protein"
balanced="astronomy biology chemistry economics math physics"
capture paper "$paper"
capture paper-untrained "$paper" --untrained-routers 1
capture paper-short "$paper" --max-tokens 64
capture six "$balanced"
capture six-untrained "$balanced" --untrained-routers 1
