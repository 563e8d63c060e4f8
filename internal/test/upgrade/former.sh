#!/bin/sh
# former.sh COMMIT makes testdata/COMMIT.tar.gz, the data folder of a former build. It needs root.
# The build is that of the commit but for the size of the files of its audit log, so that a small log has several.
set -eu
cd "$(dirname "$0")"
tree=$(mktemp -d)
trap 'git worktree remove --force "$tree"' EXIT
git worktree add --force --detach "$tree" "$1"
sed -i 's/auditFileBytes *= 16 << 20/auditFileBytes = 16 << 10/' "$(grep -rl --include=*.go 'auditFileBytes *= 16 << 20' "$tree")"
(cd "$tree" && CGO_ENABLED=0 go build -trimpath -o diagsh .)
DIAGSH_BINARY=$tree/diagsh go test -count=1 -run TestWriteFormer . -args -write "$PWD/testdata/$1.tar.gz"
