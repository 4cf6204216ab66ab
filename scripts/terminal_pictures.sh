#!/usr/bin/env bash
# Recreates the terminal screenshots in docs/ from seqfit's real output:
#
#     scripts/terminal_pictures.sh DATA
#
# DATA is a folder with MNIST's four files. Needs a built target/release/seqfit, `script` (util-linux), node,
# `npm ci` in tests/browser, a chromium, the font DejaVu Sans Mono, and .venv with tests/requirements.txt (Pillow is
# installed with TensorBoard).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

[[ $# -eq 1 ]] || { echo "pass the folder with MNIST as the argument" >&2; exit 2; }
data=$(cd "$1" && pwd)
seqfit=$PWD/target/release/seqfit
docs=$PWD/docs
chromium=$(command -v chromium || command -v chromium-browser || command -v google-chrome)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ln -s "$docs" "$work/docs"
ln -s "$data" "$work/mnist"

# record NAME COLUMNS SHOWN COMMAND: records COMMAND in a terminal of that width, after a prompt with SHOWN.
record() {
  local log=$work/$1.log
  (cd "$work" && TERM=xterm-256color COLORTERM=truecolor PATH=$(dirname "$seqfit"):$PATH \
    script --quiet --return --command "stty cols $2 rows 60; printf '$ %s\n' '$3'; $4" "$log") >/dev/null
}
# picture NAME COLUMNS LOG [UNTIL]
picture() {
  node tests/browser/terminal_screenshot.mjs "$chromium" "$work/$3.log" "$2" "$docs/terminal-$1.png" "${@:4}"
  # 64 colors look the same at a third of the size.
  .venv/bin/python - "$docs/terminal-$1.png" <<'PYTHON'
import sys
from PIL import Image
Image.open(sys.argv[1]).convert("RGB").quantize(64, dither=Image.Dither.NONE).save(sys.argv[1], optimize=True)
PYTHON
  echo "docs/terminal-$1.png"
}

training="--validation-split 0.1 --out runs/tutorial --plot"
record train 124 "seqfit train $training" "seqfit train --data-dir mnist $training"
# In the middle of an epoch, with the curves above the progress bar.
picture train 124 train 'epoch  8/10 [^\r\n]* [3-9][0-9] %[^\r\n]*left'
record confusion 68 "seqfit evaluate runs/tutorial" "seqfit evaluate runs/tutorial"
picture confusion 68 confusion
record predict 54 "seqfit predict runs/tutorial docs/seven.png" "seqfit predict runs/tutorial docs/seven.png"
picture predict 54 predict
