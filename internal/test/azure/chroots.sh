#!/bin/sh
# chroots.sh FOLDER: makes a Debian 12 and a Debian 13 with azure-cli in a folder, unless they are there (make azure). It needs
# root, and 3.5 GB.
set -eu
command -v mmdebstrap >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends mmdebstrap; }
mkdir -p "$1"
for suite in bookworm trixie; do
    [ -e "$1/$suite/usr/bin/az" ] && continue
    rm -rf "$1/$suite.new"
    mmdebstrap --variant=apt --include=azure-cli,ca-certificates "$suite" "$1/$suite.new"
    mv "$1/$suite.new" "$1/$suite"
done
