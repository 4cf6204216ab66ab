# Part of scripts/fetch_libtorch.sh: download of one file over HTTP with curl, with resume.
# shellcheck shell=bash disable=SC2034 # other parts use the variables

# headers_of URL: fails fast if the server does not respond; then curl_reason prints the reason.
headers_of() { curl -fsSIL --connect-timeout 10 --max-time 30 "$1" 2>"$CACHE/curl.log"; }

curl_reason() { tail -n 1 "$CACHE/curl.log" 2>/dev/null || true; }

# remote_size URL: prints the Content-Length, nothing if the server does not send it.
remote_size() {
    headers_of "$1" | tr -d '\r' |
        awk 'tolower($1) == "content-length:" { size = $2 } END { print size }'
}

size_of() {
    if [ -f "$1" ]; then wc -c <"$1" | tr -d ' '; else echo 0; fi
}

# curl_into FILE URL PROGRESS_OPTION
curl_into() {
    run curl -fL "$3" --connect-timeout 10 --speed-limit 1000 --speed-time 60 --retry 3 \
        -C - -o "$1" "$2"
}

# download URL FILE: resumes FILE.part. Call it in a condition; sets REASON.
download() {
    local url=$1 file=$2 part=$2.part size status=0 progress=-sS
    size=$(remote_size "$url") || { REASON=$(curl_reason); return 1; }
    if [ -n "$size" ] && [ "$(size_of "$part")" -gt "$size" ]; then rm -f "$part"; fi
    if [ -z "$size" ] || [ "$(size_of "$part")" -ne "$size" ]; then
        if [ -t 2 ]; then progress=--progress-bar; fi
        if [ -s "$part" ]; then
            say "continuing the download of $url at $(($(size_of "$part") / 1000)) kB"
        else
            say "downloading $url${size:+ ($((size / 1000)) kB)}"
        fi
        curl_into "$part" "$url" "$progress" || status=$?
        # 33: the server cannot resume a download. 36: curl cannot.
        if [ "$status" -eq 33 ] || [ "$status" -eq 36 ]; then
            rm -f "$part"
            status=0
            curl_into "$part" "$url" "$progress" || status=$?
        fi
        if [ "$status" -ne 0 ]; then
            REASON="the download was interrupted (curl error $status); run this again to resume it"
            return 1
        fi
    fi
    if [ -n "$size" ] && [ "$(size_of "$part")" -ne "$size" ]; then
        REASON="the download has $(size_of "$part") bytes, the server announced $size"
        rm -f "$part"
        return 1
    fi
    mv "$part" "$file"
}
