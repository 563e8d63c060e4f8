#!/bin/sh
# Installs the Debian packages that the tests run as real clients and peers. Where it may not, it names them and fails.
set -eu

# Another apt may be at work, such as a machine's first update of itself. apt-get waits for one of its three locks only.
apt() {
    tries=150
    until said=$(apt-get -o DPkg::Lock::Timeout=300 "$@" 2>&1); do
        case $said in *"Could not get lock"* | *"Unable to lock"*) tries=$((tries - 1)) ;; *) tries=0 ;; esac
        if [ $tries = 0 ]; then
            echo "$said" >&2
            return 1
        fi
        sleep 2
    done
}

need() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }

missing=
need ip iproute2
need ethtool ethtool
need nft nftables
need ss iproute2
need ping iputils-ping
need sysctl procps
need lsof lsof
need dbus-daemon dbus-daemon
need systemctl systemd
need ssh openssh-client
need sshd openssh-server
need /usr/lib/openssh/sftp-server openssh-sftp-server
need plink putty-tools
need lftp lftp
need curl curl
need openssl openssl
need dbclient dropbear-bin
need rclone rclone
need sshfs sshfs
need mc mc
need node nodejs
need chromium chromium
[ -e /usr/share/doc/fonts-dejavu-core ] || missing="$missing fonts-dejavu-core"
need npm npm
need unzip unzip
need bsdtar libarchive-tools
need tshark tshark
need capinfos wireshark-common
need tcpdump tcpdump
need mkfs.ext4 e2fsprogs
need ssh-audit ssh-audit
python3 -c 'import paramiko' 2>/dev/null || /usr/bin/python3 -c 'import paramiko' 2>/dev/null || missing="$missing python3-paramiko"
/usr/bin/python3 -W ignore -c 'import asyncssh' 2>/dev/null || missing="$missing python3-asyncssh"

need traceroute traceroute
need dig bind9-dnsutils

# The programs of docs/automation.md (internal/test/automation), and libpcap to be timed (capture/filter).
need expect expect
need ansible-playbook ansible-core
for module in pexpect netmiko; do
    /usr/bin/python3 -W ignore -c "import $module" 2>/dev/null || missing="$missing python3-$module"
done
need cc gcc
[ -e /usr/include/pcap/pcap.h ] || missing="$missing libpcap-dev libc6-dev"

# Mail servers, which exclude each other as packages: unpacked, not installed (internal/test/mailservers). libidn12 is for Exim, libevent for
# OpenSMTPD.
mail=/var/cache/diagsh-tests/mail
[ -e /usr/share/doc/libevent-2.1-7 ] || missing="$missing libevent-2.1-7"
unpack=
for p in postfix exim4-daemon-light opensmtpd; do [ -d "$mail/$p" ] || unpack="$unpack $p"; done
unpack_mail() {
    [ -n "$unpack" ] || return 0
    echo "Unpacking what the tests need:$unpack"
    fresh=$(mktemp -d)
    # shellcheck disable=SC2086
    (cd "$fresh" && apt -o APT::Sandbox::User=root download -qq $unpack libidn12)
    for p in $unpack; do
        mkdir -p "$mail"
        for deb in "$fresh/$p"_*.deb "$fresh"/libidn12_*.deb; do dpkg -x "$deb" "$fresh/$p"; done
        mv "$fresh/$p" "$mail/$p"
    done
    rm -rf "$fresh"
}

# Servers that know people: unpacked, not installed, so that nothing of the machine starts them (internal/test/signin). The libraries are
# those that they need beside what is there.
signin=/var/cache/diagsh-tests/signin
for library in libltdl7 libtalloc2 libpcre3 libwrap0 libsasl2-2 libldap-2.5-0; do
    [ -e "/usr/share/doc/$library" ] || missing="$missing $library"
done
servers=
for p in slapd freeradius; do [ -d "$signin/$p" ] || servers="$servers $p"; done
unpack_servers() {
    [ -n "$servers" ] || return 0
    echo "Unpacking what the tests need:$servers"
    fresh=$(mktemp -d)
    mkdir -p "$signin"
    for p in $servers; do
        parts=$p
        [ "$p" != freeradius ] || parts="freeradius freeradius-common libfreeradius3"
        # shellcheck disable=SC2086
        (cd "$fresh" && apt -o APT::Sandbox::User=root download -qq $parts)
        for part in $parts; do for deb in "$fresh/$part"_*.deb; do dpkg -x "$deb" "$fresh/$p"; done; done
        mv "$fresh/$p" "$signin/$p"
    done
    rm -rf "$fresh"
}

# What is no Debian package, from npm and kept beside the others: a client (internal/test/e2e), and what finds pages that not everybody can use
# (internal/test/browser).
node=/var/cache/diagsh-tests/node
modules=
[ -d "$node/node_modules/ssh2" ] || modules=ssh2@1.17.0
for m in @redocly/cli@2.77.0 openapi-typescript@7.13.0 typescript@5.9.3 openapi-fetch@0.17.0 @types/node@20.19.43; do # (internal/test/contract)
    [ -d "$node/node_modules/${m%@*}" ] || modules="$modules $m"
done
[ -d "$node/node_modules/axe-core" ] || modules="$modules axe-core@4.14.1"
# A store as Azure's, and a client of Azure, in the newest versions that node 20 runs (internal/test/azure).
for m in azurite@3.35.0 @azure/arm-network@36.0.0; do
    [ -d "$node/node_modules/${m%@*}" ] || modules="$modules $m"
done
# What speaks as S3 does and compares every sum (internal/test/storage). It is built by the Go that builds diagsh, which takes minutes once.
gateway=/var/cache/diagsh-tests/bin/versitygw
go=$(command -v "${GO:-go}" || echo /usr/local/go/bin/go)
build_gateway() {
    [ ! -x "$gateway" ] || return 0
    echo "Building what the tests need: versitygw"
    GOBIN=${gateway%/*} GOFLAGS=-trimpath "$go" install -ldflags '-s -w' github.com/versity/versitygw/cmd/versitygw@v1.8.0
}
install_modules() {
    [ -n "$modules" ] || return 0
    echo "Installing what the tests need from npm: $modules"
    mkdir -p "$node"
    # Without the parts that are compiled: they make it faster, and need a compiler.
    # shellcheck disable=SC2086
    npm install --silent --no-audit --no-fund --omit=optional --ignore-scripts --prefix "$node" $modules
}

if [ -z "$missing" ] && [ -z "$unpack" ] && [ -z "$servers" ] && [ -z "$modules" ] && [ -x "$gateway" ]; then exit 0; fi
if [ "$(id -u)" != 0 ] && sudo -n true 2>/dev/null; then exec sudo -n env GO="$go" sh "$0"; fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "The tests need these Debian packages; install them as root: apt-get install$missing${unpack:+; unpacked in $mail:$unpack}${servers:+; unpacked in $signin:$servers}${modules:+; from npm in $node: $modules}" >&2
    exit 1
fi
build_gateway & # which needs nothing of the rest
building=$!
export DEBIAN_FRONTEND=noninteractive
if [ -n "$missing" ] || [ -n "$unpack" ] || [ -n "$servers" ]; then apt update -qq; fi
if [ -n "$missing" ]; then
    echo "Installing what the tests need:$missing"
    # shellcheck disable=SC2086
    apt install -y -qq --no-install-recommends $missing
fi
unpack_mail
unpack_servers
install_modules
wait "$building"
