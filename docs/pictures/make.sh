#!/usr/bin/env bash
# make.sh [DIRECTORY]
#
# Makes the pictures of README anew, in DIRECTORY (here, if none is given), from real rehearsals on a soft HSM:
#   approval.svg   the approval screen of examples/generate.toml, as a terminal of 80 columns and 24 rows shows it
#   report.png     the first page of a rehearsal's report, as a browser shows it
# Needs what ceremony-scripts/rehearse.sh needs, and tmux; report.png stays as it is if there is no Chromium.
#
# Example:  docs/pictures/make.sh && git diff --stat docs/pictures
case ${BASH_VERSION-}:${BYOK_SHELL-} in :* | *:"$$") ;; *) POSIXLY_CORRECT=1; BYOK_SHELL=$$ exec env -u SHELLOPTS -u BASHOPTS -u BASH_ENV -u BASH_COMPAT -u POSIXLY_CORRECT "${BASH:-bash}" -p "${BASH_SOURCE[0]}" ${1+"$@"} ;; esac # no option, function or start-up file of the caller's shell
set -euo pipefail
export LC_ALL=C.UTF-8

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
out=$(cd "${1:-$root/docs/pictures}" && pwd)
columns=80 rows=24

die() {
    printf 'make.sh: %s\n' "$1" >&2
    exit 2
}
command -v tmux >/dev/null || die 'tmux is not installed: it is the terminal of the picture'

work=$(mktemp -d /tmp/practice.XXX) # its name is in the picture
terminal() { tmux -L "byok-picture-$$" -f /dev/null "$@"; }
trap 'terminal kill-server 2>/dev/null || true; rm -rf "$work"' EXIT

# shown TEXT [KEY]: waits until the screen ends with it; presses KEY at every other question before.
shown() {
    local screen tries=0
    until screen=$(terminal capture-pane -p) && [[ $screen == *"$1"* ]]; do
        tries=$((tries + 1))
        [ "$tries" -lt 1200 ] || die "the screen never showed \"$1\", but:
$screen"
        if [ -n "${2-}" ] && [[ $screen =~ 'Press Enter when you have this:'[[:space:]]*$ ]]; then
            terminal send-keys "$2"
        fi
        sleep 0.5
    done
}

# svg: a screen from standard input, as a picture. Every line gets its exact width, whatever font the reader has.
svg() {
    awk -v columns="$columns" -v rows="$rows" '
        BEGIN {
            width = 8.4; height = 18; edge = 16
            w = columns * width + 2 * edge; h = rows * height + 2 * edge
            printf "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\">\n", w, h, w, h
            printf "<title>The approval screen of a rehearsal</title>\n"
            printf "<rect width=\"100%%\" height=\"100%%\" rx=\"8\" fill=\"#16181d\"/>\n"
            printf "<g font-family=\"ui-monospace, Menlo, Consolas, DejaVu Sans Mono, monospace\" font-size=\"14\" fill=\"#e6e6e6\">\n"
        }
        {
            sub(/ +$/, "")
            n = length($0)
            gsub(/ /, "\302\240") # a space that no reader folds
            gsub(/&/, "\\&amp;"); gsub(/</, "\\&lt;"); gsub(/>/, "\\&gt;")
            if (n) printf "<text x=\"%d\" y=\"%d\" textLength=\"%.1f\" lengthAdjust=\"spacingAndGlyphs\">%s</text>\n", edge, edge + NR * height - 5, n * width, $0
        }
        END { print "</g>\n</svg>" }'
}

# A screen that tmux keeps could be recorded, so byok refuses to show shares there; practice shares are nobody's.
command=(env -u TMUX -u TMUX_PANE "$root/ceremony-scripts/rehearse.sh" --directory "$work" "$root/examples/generate.toml")
printf -v command '%q ' "${command[@]}"
terminal new-session -d -x "$columns" -y "$rows" "$command; sleep 600"
shown 'Type Yes to approve' Enter
terminal capture-pane -p | svg >"$work/approval.svg"
mv "$work/approval.svg" "$out/approval.svg"

browser=$(command -v chromium chromium-browser google-chrome | head -n 1) || browser=
if [ -z "$browser" ]; then
    echo 'report.png stays as it is: there is no Chromium here'
    exit
fi
"$root/ceremony-scripts/rehearse.sh" --samples "$work/samples" >"$work/log" 2>&1 || die "the rehearsal failed: $(cat "$work/log")"
alone=()
[ "$(id -u)" -ne 0 ] || alone=(--no-sandbox)
"$browser" --headless ${alone[@]+"${alone[@]}"} --disable-gpu --hide-scrollbars --user-data-dir="$work/browser" \
    --window-size=794,830 --screenshot="$work/report.png" "file://$work/samples/report.html" >"$work/log" 2>&1 ||
    die "the browser failed: $(cat "$work/log")"
mv "$work/report.png" "$out/report.png"
