#!/bin/sh
# Installs the Debian packages that the tests run as real clients and peers. Where it may not, it names them and fails.
set -eu

need() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }

missing=
need ip iproute2
need ethtool ethtool
need nft nftables
need ss iproute2
need ping iputils-ping
need lsof lsof
need dbus-daemon dbus-daemon
need ssh openssh-client
need sshd openssh-server
need /usr/lib/openssh/sftp-server openssh-sftp-server
need plink putty-tools
need lftp lftp
need tshark tshark
need capinfos wireshark-common
need tcpdump tcpdump
need ssh-audit ssh-audit
python3 -c 'import paramiko' 2>/dev/null || /usr/bin/python3 -c 'import paramiko' 2>/dev/null || missing="$missing python3-paramiko"

[ -n "$missing" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing what the tests need:$missing"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    # shellcheck disable=SC2086
    apt-get install -y -qq --no-install-recommends $missing >/dev/null
else
    echo "The tests need these Debian packages; install them as root: apt-get install$missing" >&2
    exit 1
fi
