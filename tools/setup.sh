#!/bin/sh
# Make .venv from requirements.lock and install the package into it, editable: sh tools/setup.sh [PYTHON]
# Called by make. The mark .venv/ready is written last; a set-up that was cut short is made anew.
set -eu
cd "$(dirname "$0")/.."
mark=.venv/ready
partial=.venv/partial

fail() {
    echo "setup: $*" >&2
    exit 2
}

fits='import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))'
complete='import ensurepip, venv'

choose_python() { # prints the first interpreter that fits
    without_venv=
    for candidate in ${1:+"$1"} $([ -n "${1:-}" ] || echo python3 python3.13 python3.12 python3.11 python); do
        "$candidate" -c "$fits" 2>/dev/null || continue
        if "$candidate" -c "$complete" 2>/dev/null; then
            echo "$candidate"
            return
        fi
        without_venv=${without_venv:-$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])')}
    done
    [ -z "$without_venv" ] || fail "Python $without_venv has no venv module: apt-get install python$without_venv-venv"
    fail "found no Python 3.11 to 3.13${1:+ in $1}: install one, or name it: make PYTHON=/path/to/python"
}

if [ -e "$partial" ] || [ -n "${1:-}" ] || ! .venv/bin/python -c "$fits; import pip" 2>/dev/null; then
    python=$(choose_python "${1:-}")
    echo "setup: making .venv with $("$python" --version)"
    rm -rf .venv
    mkdir .venv
    : >"$partial"
    "$python" -m venv .venv
fi
rm -f "$mark"
: >"$partial"

install() {
    .venv/bin/python -m pip install --disable-pip-version-check --no-input $quiet "$@"
}
quiet=
[ -t 1 ] || quiet=--quiet
echo "setup: installing the packages of requirements.lock (a few minutes, about 3 GB on disk)"
# setuptools first, from the lock like the rest: with it, what has no wheel is built without asking the index.
sed -n '/^setuptools==/,/[^\\]$/p' requirements.lock >.venv/setuptools.txt
install --require-hashes -r .venv/setuptools.txt
install --require-hashes --use-pep517 --no-build-isolation -r requirements.lock
install --no-deps --use-pep517 --no-build-isolation --editable .

rm -f "$partial"
pwd -P >"$mark"
echo "setup: done"
