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

# What tells the groups apart: the fingerprint in the paper's form by each reading of g, then without length.
for kind in scidfm_logits scidfm_probs scidfm_weights mean_prob selection_frequency; do
    for trace in paper paper-short paper-untrained; do
        table "$trace" "$kind" fingerprint_separation fingerprint_knn profile_identification --fingerprint "$kind"
    done
    table paper "$kind-map" fingerprint_map --fingerprint "$kind"
done
for kind in scidfm_probs mean_prob; do
    for trace in paper paper-untrained; do
        table "$trace" "$kind-logistic" fingerprint_logistic --fingerprint "$kind"
    done
    for extension in svg pdf png; do
        figure="$out/map-$kind.$extension"
        [ -e "$figure" ] || "$moescope" figure "$out/paper" fingerprint_map --fingerprint "$kind" --variant t-SNE --hulls \
            --out "$figure" --spec-out "$out/map-$kind.toml"
    done
done

# The balanced design: six disciplines in two genres.
for trace in six six-untrained; do
    table "$trace" separation fingerprint_separation fingerprint_knn fingerprint_logistic profile_identification \
        fingerprint_by_layer
    table "$trace" information mutual_information conditional_mutual_information variance_partition
    table "$trace" matched mutual_information --match genre,length
    [ -e "$out/$trace-findings.txt" ] || "$moescope" findings "$out/$trace" --no-color >"$out/$trace-findings.txt"
done
for extension in svg pdf png; do
    [ -e "$out/jsd.$extension" ] || "$moescope" figure "$out/six" jsd --out "$out/jsd.$extension" --spec-out "$out/jsd.toml"
done
