#!/usr/bin/env bash
# Checks that this tree and another commit train the same weights, bit for bit:
#
#   scripts/same_weights.sh COMMIT [RECIPE…]
#
# Builds both, trains each recipe for 3 epochs on the built-in digits, and on MNIST if SEQFIT_DATA names a folder with
# mnist/, by both CPU engines and, where MPI is installed, by 2 ranks. An interrupted run of either is then resumed by
# the other. OLD and NEW may name programs that are built already.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

commit=${1:?usage: scripts/same_weights.sh COMMIT [RECIPE…]}
shift
recipes=("$@")
(( ${#recipes[@]} )) || recipes=(tutorial ten fast99)
work=$(mktemp -d)
trap 'git worktree remove --force "$work/tree" 2>/dev/null || true; rm -rf "$work"' EXIT

features=()
ranks=no
if command -v mpicc mpirun >/dev/null; then
  features=(--features mpi)
  ranks=yes
fi
export LIBTORCH=${LIBTORCH:-$PWD/vendor/libtorch}
if [[ -z ${OLD:-} ]]; then
  git worktree add --quiet "$work/tree" "$commit"
  cargo build --release "${features[@]}" --manifest-path "$work/tree/Cargo.toml" --target-dir target/same-weights
  OLD=$PWD/target/same-weights/release/seqfit
fi
if [[ -z ${NEW:-} ]]; then
  cargo build --release "${features[@]}"
  NEW=$PWD/target/release/seqfit
fi

data=(digits)
[[ -d ${SEQFIT_DATA:-/nowhere}/mnist ]] && data+=(mnist)
cd "$work"
fails=0

# compare NAME A B: whether two runs ended with the same parameters.
compare() {
  if cmp --silent "$2/model.safetensors" "$3/model.safetensors"; then
    echo "same       $1"
  else
    echo "DIFFERENT  $1"
    fails=$((fails + 1))
  fi
}

for set in "${data[@]}"; do
  for recipe in "${recipes[@]}"; do
    train=(train --quiet --dataset "$set" --recipe "$recipe" --epochs 3 --seed 7)
    for engine in fused autograd; do
      "$OLD" "${train[@]}" --engine "$engine" --out old
      "$NEW" "${train[@]}" --engine "$engine" --out new
      compare "$set $recipe $engine" old new
      rm -r old new
    done
    if [[ $ranks == yes ]]; then
      for who in old new; do
        program=$OLD
        [[ $who == new ]] && program=$NEW
        mpirun --allow-run-as-root --oversubscribe -n 2 "$program" "${train[@]}" --distributed --out "$who"
      done
      compare "$set $recipe 2 ranks" old new
      rm -r old new
    fi
  done
done

# --max-time ends a run within an epoch, and the other program continues it. Configs of 9138455 and before do not have
# the preparation of pictures, which it refuses as an unknown field.
set=${data[-1]}
train=(train --quiet --dataset "$set" --engine autograd --epochs 3 --seed 7)
"$NEW" "${train[@]}" --out whole
for who in this "$commit"; do
  first=$NEW second=$OLD
  [[ $who == this ]] && first=$OLD second=$NEW
  "$first" "${train[@]}" --max-time 1s --out part
  (( $(wc -l <part/history.csv) < 4 )) || { echo "the run ended before it was interrupted" >&2; exit 1; }
  [[ $who == this ]] || sed -i '/^preparation = /d' part/config.toml
  "$second" train --quiet --resume part
  compare "$set resumed by $who" part whole
  rm -r part
done
(( fails == 0 ))
