#!/usr/bin/env bash
# Counts how often per epoch a training makes the host wait for the GPU:
#
#   scripts/bench/count_host_waits.sh PROGRAM DATA_DIR [OPTION...]
#
# A library between the program and the CUDA runtime counts the calls that wait. The count of a training of 3
# epochs is subtracted from that of 13, which leaves the waits of 10 epochs without those of start and end. The
# number must not depend on the number of steps, so it is measured at two batch sizes.
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

__attribute__((destructor)) static void print_count(void) { fprintf(stderr, "waits %ld\n", (long)count); }
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
  echo "batch $batch: $few waits in 3 epochs, $many in 13: $(((many - few) / 10)) per epoch"
done
