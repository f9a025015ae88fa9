#!/usr/bin/env bash
# with-the-package.sh bare | stocked
#
# What people do where the Debian package is installed, called by tests/deb.sh as an ordinary user. `bare` has nothing
# else; `stocked` has what the package suggests, man-db and the shells.
case ${BASH_VERSION-}:${BYOK_SHELL-} in :* | *:"$$") ;; *) POSIXLY_CORRECT=1; BYOK_SHELL=$$ exec env -u SHELLOPTS -u BASHOPTS -u BASH_ENV -u BASH_COMPAT -u POSIXLY_CORRECT "${BASH:-bash}" -p "${BASH_SOURCE[0]}" ${1+"$@"} ;; esac # no option, function or start-up file of the caller's shell
set -euo pipefail
cd "$HOME"
scripts=/usr/share/byok/ceremony-scripts

fail() {
    printf 'FAILED: %s\n' "$1" >&2
    [ ! -s said ] || tail -n 20 said >&2
    exit 1
}
held() { printf 'held: %s\n' "$1"; }

# ends CODE COMMAND…: what it says goes to ./said.
ends() {
    local want=$1 ended=0
    shift
    "$@" >said 2>&1 || ended=$?
    [ "$ended" -eq "$want" ] || fail "$* ended with $ended, not $want"
}
says() { grep -qF -- "$1" said || fail "it does not say: $1"; }

# The program is the one that was built, and says so.
is_the_program() {
    ends 0 byok --version --verbose
    [ "$(sed -n 's/^SHA-256 //p' said)" = "$(sha256sum </usr/bin/byok | cut -c 1-64)" ] || fail 'byok tells another SHA-256'
    [ "$(sed -n '/^  row /p' said)" = "$("$scripts/digest-rows.sh" /usr/bin/byok)" ] || fail 'byok shows other rows'
    [ "$(sed 1q said)" = "$(cat version)" ] || fail 'byok names another commit than the one that was built'
}

links_lead_somewhere() {
    local link
    while read -r link; do
        [ -e "$link" ] || fail "$link leads nowhere"
    done < <(find /usr/share/byok /usr/share/doc/byok -type l)
    [ -e /usr/share/doc/byok/ceremony-scripts/../docs/checks.md ] || fail 'the pages do not find each other'
}

# The words of a help and of its man page: each line of one stands in the other, however either is folded.
man_page() {
    local page=$1 line
    shift
    LC_ALL=C.UTF-8 MANWIDTH=80 MANPAGER=cat man --warnings "$page" >"$page.txt" 2>said || fail "man $page"
    [ ! -s said ] || fail "man $page complains"
    [ "$(LC_ALL=C.UTF-8 wc -L <"$page.txt")" -le 80 ] || fail "man $page is wider than 80 columns"
    tr -s ' \n' ' ' <"$page.txt" >words
    byok "$@" --help | sed -n '/^Options:/,$p' | sed '1,/^$/d; s/^Example: //; s/^Exit codes: //; s/  */ /g' >help
    while read -r line; do
        case $line in
        '' | [0-9]*' '*', '* | *', '[0-9]' '*) continue ;; # exit codes are a list on the page
        esac
        grep -qF -- "$line" words || fail "man $page does not say: $line"
    done <help
    whatis "$page" >said || fail "whatis does not know $page"
}

completes() {
    local shell=$1 got=$2
    [ "$(tr -s '[:space:]' '\n' <<<"$got" | sort)" = $'receipt\nrehearse' ] || fail "$shell completes byok re to: $got"
}
# shellcheck disable=SC2016 # the inner shells expand them
shells() {
    completes bash "$(bash -c '. /usr/share/bash-completion/bash_completion
        _completion_loader byok
        COMP_WORDS=(byok re) COMP_CWORD=1
        _byok byok re byok
        printf "%s\n" "${COMPREPLY[@]}"')"
    completes fish "$(fish -c 'complete -C "byok re"' | cut -f 1)"
    # zsh completes only at a terminal, which this makes for it; what it then offers is a list with explanations.
    completes zsh "$(timeout 60 zsh -fc 'zmodload zsh/zpty; zpty at "TERM=vt100 zsh -fi"
        zpty -w at "autoload -Uz compinit; compinit -u -D; PS1=re""ady"; zpty -r at seen "*ready*2004h*"
        zpty -w -n at $1; zpty -r at seen "*receipt *rehearse *"; print -r -- "$seen--"; zpty -d at' zsh $'byok re\t' |
        tr -d '\0' | grep -oE 're[a-z]+ +--' | tr -d ' -')"
}

bare() {
    is_the_program
    links_lead_somewhere
    ends 3 byok rehearse
    says 'apt-get install -y --no-install-recommends softhsm2'
    ends 2 byok run
    held 'in a bare Debian 12 the package needs nothing else; byok says which commit and which bytes it is'
}

stocked() {
    is_the_program
    local page count=0
    for page in /usr/share/man/man1/byok*.1.gz; do
        page=$(basename "$page" .1.gz)
        # shellcheck disable=SC2046 # its words are the verb
        man_page "$page" $(tr - ' ' <<<"${page#byok}")
        count=$((count + 1))
    done
    [ "$count" -ge 13 ] || fail "there are $count man pages"
    held "man shows $count pages, which say what the help says"
    shells
    held 'bash, zsh and fish complete the verbs'
    ends 0 byok rehearse
    [ "$(grep -cE ' (proved|opened)$' said)" -eq 4 ] || fail 'not all of the rehearsal was proved'
    says ' refused'
    local record
    for record in target/rehearsal/*/record*; do
        ends 0 byok verify "$record"
        ends 0 "$scripts/verify-record.sh" "$record"
    done
    ends 0 bash "$scripts/online.sh" --help
    held 'byok rehearses a whole life; both verifiers take its records'
}

"$1"
