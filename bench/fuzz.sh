#!/bin/sh
# Runs every fuzz target of the module for a time, one after the other, and fails when one of them failed:
#   bench/fuzz.sh 1m
set -eu
cd "$(dirname "$0")/.."
time=${1:?"how long to fuzz each target, such as 1m"}

# Lines of the form ./folder/file_test.go:func FuzzName( become ./folder FuzzName.
targets=$(grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+\(' . | sed -E 's|^(.*)/[^/]*:func (.*)\($|\1 \2|' | sort)
[ -n "$targets" ] || { echo "There is no fuzz target" >&2; exit 1; }

failed=$(mktemp)
trap 'rm -f "$failed"' EXIT
echo "$targets" | while read -r folder target; do
    echo "== $folder $target, $time"
    go test "$folder" -run '^$' -fuzz "^$target\$" -fuzztime "$time" </dev/null || echo "$folder $target" >>"$failed"
done
[ ! -s "$failed" ] || { echo "These failed:" >&2; cat "$failed" >&2; exit 1; }
