#!/usr/bin/env bash
# Counts how often a training on a GPU makes the host wait for it, an epoch:
#
#   scripts/bench/cuda_waits.sh PROGRAM DATA_DIR [OPTION...]
#
# A library between the program and CUDA's runtime counts the calls that wait. A training of 3 epochs is
# taken from one of 13; what is left is 10 epochs', whatever the start and the end wait for. The number must
# not depend on the number of steps: all of them are counted at two batch sizes.
set -euo pipefail

program=$1 data=$2
shift 2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

cat > "$folder/waits.c" <<'C'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>

static atomic_long count;

#define COUNTED(name, parameters, arguments)                                                        \
  int name parameters {                                                                             \
    int(*own) parameters = (int(*) parameters)dlsym(RTLD_NEXT, #name);                              \
    atomic_fetch_add(&count, 1);                                                                    \
    return own arguments;                                                                           \
  }

COUNTED(cudaStreamSynchronize, (void *stream), (stream))
COUNTED(cudaDeviceSynchronize, (void), ())
COUNTED(cudaEventSynchronize, (void *event), (event))
COUNTED(cudaMemcpy, (void *to, const void *from, size_t size, int kind), (to, from, size, kind))

__attribute__((destructor)) static void tell(void) { fprintf(stderr, "waits %ld\n", (long)count); }
C
cc -shared -fPIC -O1 -o "$folder/waits.so" "$folder/waits.c" -ldl

# waits EPOCHS BATCH_SIZE OPTION...
waits() {
  local epochs=$1 batch=$2
  shift 2
  LD_PRELOAD="$folder/waits.so" "$program" train --cuda --data-dir "$data" --epochs "$epochs" \
    --batch-size "$batch" --out "$folder/run" --force --quiet "$@" 2>&1 >/dev/null |
    sed -n 's/^waits //p'
}

for batch in 32 4096; do
  few=$(waits 3 "$batch" "$@")
  many=$(waits 13 "$batch" "$@")
  echo "batch $batch: $few waits in 3 epochs, $many in 13: $(((many - few) / 10)) an epoch"
done
