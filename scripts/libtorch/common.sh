# Part of scripts/fetch_libtorch.sh: common functions of the other parts. Messages, long steps and
# signals, the cache folder with its lock, disk space.
# shellcheck shell=bash disable=SC2034 # other parts use the variables

CACHE=""    # next to the target: unfinished downloads, the folder being assembled, the lock
LOCKED=""   # set while this process holds the lock of CACHE
CHILD=""    # process id of the running step
REASON=""   # why the last source failed

# --- messages ------------------------------------------------------------------------------------

say() { printf 'fetch_libtorch: %s\n' "$*" >&2; }

# die MESSAGE CURE...
die() {
    printf 'fetch_libtorch: error: %s\n' "$1" >&2
    shift
    local cure
    for cure in "$@"; do printf '  %s\n' "$cure" >&2; done
    exit 1
}

usage_error() {
    printf 'fetch_libtorch: %s\nTry scripts/fetch_libtorch.sh --help\n' "$1" >&2
    exit 2
}

have() { command -v "$1" >/dev/null 2>&1; }

# exists PATH: true also for a dangling link.
exists() { [ -e "$1" ] || [ -L "$1" ]; }

# --- long steps and signals ----------------------------------------------------------------------

# Long steps run in the background and are waited for, so that a signal ends them at once: bash
# runs a trap only after the foreground command has ended.
run() {
    local status=0
    "$@" <&0 &
    CHILD=$!
    wait "$CHILD" || status=$?
    CHILD=""
    return "$status"
}

on_signal() {
    trap - INT TERM HUP
    if [ -n "$CHILD" ]; then
        kill "$CHILD" 2>/dev/null || true
        wait "$CHILD" 2>/dev/null || true
    fi
    say "interrupted; run this again to continue"
    exit "$1"
}

# --- the cache folder ----------------------------------------------------------------------------

# Allows only one run at a time per cache folder, and so per target.
lock() {
    mkdir -p "$CACHE" || die "cannot write to $(dirname "$CACHE")" "choose another place with --dir"
    if have flock; then lock_by_file; else lock_by_folder; fi
    LOCKED=yes
}

# The cache folder is deleted at the end of a successful run, hence the check that the locked file is
# still the one at that path.
lock_by_file() {
    local announced=""
    while :; do
        mkdir -p "$CACHE"
        exec 9>>"$CACHE/lock" || continue
        if ! flock -n 9; then
            [ -n "$announced" ] || say "another run is in progress here; waiting for it"
            announced=yes
            flock 9
        fi
        if [ "/dev/fd/9" -ef "$CACHE/lock" ]; then return; fi
    done
}

# Without flock (macOS): only one process succeeds in creating a folder. One of a dead process is taken over.
lock_by_folder() {
    local announced="" owner
    while mkdir -p "$CACHE" && ! mkdir "$CACHE/lock.d" 2>/dev/null; do
        owner=$(cat "$CACHE/lock.d/pid" 2>/dev/null || true)
        if [ -n "$owner" ] && ! kill -0 "$owner" 2>/dev/null; then
            rm -rf "$CACHE/lock.d"
            continue
        fi
        [ -n "$announced" ] || say "another run (process ${owner:-unknown}) is in progress here; waiting for it"
        announced=yes
        sleep 1
    done
    echo $$ >"$CACHE/lock.d/pid"
}

# Releases the cache folder: finished and partial downloads are kept for the next run, partially
# assembled folders are deleted. Without the lock the folder belongs to another run.
release() {
    [ -n "$LOCKED" ] || return 0
    LOCKED=""
    rm -rf "$CACHE/stage" "$CACHE/tmp" "$CACHE/wheel.part" "$CACHE/pip-env" "$CACHE/curl.log"
    rmdir "$CACHE/wheels" 2>/dev/null || true
    if [ -z "$(find "$CACHE" -mindepth 1 -maxdepth 1 ! -name lock ! -name lock.d)" ]; then
        rm -rf "$CACHE"
    fi
    rm -rf "$CACHE/lock.d"
    exec 9>&-
}

# need_space KIB WHAT: space used by the cache counts as free.
need_space() {
    local free used
    free=${SEQFIT_FETCH_FREE_KB:-$(df -Pk "$CACHE" | awk 'NR == 2 { print $4 }')}
    used=$(du -sk "$CACHE" | awk '{ print $1 }')
    if [ $((free + used)) -lt "$1" ]; then
        die "not enough disk space for $2: $(($1 / 1000)) MB needed, $((free / 1000)) MB free" \
            "make room on the disk of $(dirname -- "$CACHE"), or choose another place with --dir"
    fi
}
