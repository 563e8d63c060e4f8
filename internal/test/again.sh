#!/bin/sh
# Runs once more, each package by itself, the tests that failed among all the others, as the file of
# make test's output names them. A test that fails only when the machine is busy with the rest is no
# reason to refuse a change, but it is said. Many failures, a panic, a package that was not built or
# ran out of time are no such thing: then nothing is run.
set -eu
most=5
failed=$(awk '
	/^--- FAIL: / { names[++n] = $3 }
	/^(panic:|fatal error:)/ { broken = 1 }
	/^ok  \t/ { n = 0 }
	/^FAIL\t/ {
		if (n == 0 || broken) print $2, "-"
		for (i = 1; i <= n; i++) print $2, names[i]
		n = broken = 0
	}' "$1")
if [ -z "$failed" ] || echo "$failed" | grep -q -- '-$' || [ "$(echo "$failed" | wc -l)" -gt $most ]; then
	exit 1
fi
for package in $(echo "$failed" | cut -d' ' -f1 | sort -u); do
	names=$(echo "$failed" | awk -v p="$package" '$1 == p { print $2 }' | paste -s -d'|' -)
	make test TESTS="$package" RUN="^($names)\$\$"
done
echo "passed only when they ran by themselves:"
echo "$failed"
