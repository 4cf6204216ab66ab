#!/usr/bin/env bash
# Measures the throughput and latency of `seqfit serve RUN` for single images over loopback at 32 connections:
# an MNIST digit as JSON pixels and as a PNG file, alternately. The client wrk (apt-get install wrk) runs on the
# same processors.
#
#   scripts/bench/serve.sh RUN [SECONDS] [ROUNDS]
set -euo pipefail
run=${1:?usage: scripts/bench/serve.sh RUN [SECONDS] [ROUNDS]}
seconds=${2:-10} rounds=${3:-3}
command -v wrk >/dev/null || { echo "wrk is needed: apt-get install wrk" >&2; exit 1; }
run=$(realpath "$run")
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
cargo build --release --quiet
work=$(mktemp -d)
target/release/seqfit serve "$run" --port 0 >"$work/url" 2>"$work/err" &
server=$!
trap 'kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
for _ in $(seq 100); do [[ -s $work/url ]] && break; sleep 0.1; done
url=$(<"$work/url")
[[ -n $url ]] || { cat "$work/err" >&2; exit 1; }

# A 28x28 image of a 7 in both forms, and the wrk scripts that send them.
python3 - "$work" <<'PYTHON'
import json, struct, sys, zlib
work = sys.argv[1]
rows = [[0] * 28 for _ in range(28)]
for x in range(7, 21):
    rows[7][x] = rows[8][x] = 253
for y in range(8, 23):
    x = 20 - (y - 8) // 2
    rows[y][x] = rows[y][x - 1] = 253
    rows[y][x - 2] = 120
chunk = lambda kind, body: struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
png = (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 28, 28, 8, 0, 0, 0, 0))
       + chunk(b"IDAT", zlib.compress(b"".join(b"\0" + bytes(row) for row in rows))) + chunk(b"IEND", b""))
bodies = {"json": ("application/json", json.dumps({"pixels": rows}, separators=(",", ":")).encode()),
          "png": ("image/png", png)}
for name, (kind, body) in bodies.items():
    open(f"{work}/{name}.body", "wb").write(body)
    open(f"{work}/{name}.lua", "w").write(
        f'local file = io.open("{work}/{name}.body", "rb")\n'
        'wrk.method, wrk.body = "POST", file:read("*a")\n'
        f'wrk.headers["Content-Type"] = "{kind}"\n')
PYTHON

ask() { wrk --threads 1 --connections 32 --duration "$1"s --latency --script "$work/$2.lua" "${url}predict"; }
for kind in json png; do ask 2 $kind >/dev/null; done
printf '%-5s %14s %10s %10s %s\n' body predictions/s 'median' 'p99' errors
for _ in $(seq "$rounds"); do
  for kind in json png; do
    ask "$seconds" $kind | awk -v kind=$kind '
      $1 == "50%" { median = $2 } $1 == "99%" { p99 = $2 } /^Requests\/sec/ { rate = $2 }
      /Non-2xx|Socket errors/ { errors = errors " " $0 }
      END { printf "%-5s %14s %10s %10s %s\n", kind, rate, median, p99, errors ? errors : "none" }'
  done
done
grep VmRSS "/proc/$server/status"
