# start.sh SERVER ROOT WORK ADDRESS runs an unpacked mail server in the foreground, in the mount namespace that this is started in.
set -e
ulimit -n 4096 # postfix and others close all that there could be
server=$1 root=$2 work=$3 address=$4

ip address add "$address/32" dev lo 2>/dev/null || : # postfix serves only addresses of interfaces
mount -t overlay overlay -o "lowerdir=$root/usr:/usr" /usr
mount -t tmpfs tmpfs /var/spool
mount -t tmpfs tmpfs /var/lib
{ cat /etc/passwd; for u in postfix:x:60910:60910 Debian-exim:x:60912:60912 opensmtpd:x:60913:60913 opensmtpq:x:60914:60914; do echo "$u::/nonexistent:/usr/sbin/nologin"; done; } >"$work/passwd"
{ cat /etc/group; printf '%s:\n' postfix:x:60910 postdrop:x:60911 Debian-exim:x:60912 opensmtpd:x:60913 opensmtpq:x:60914; } >"$work/group"
chmod 644 "$work/passwd" "$work/group"
mount --bind "$work/passwd" /etc/passwd
mount --bind "$work/group" /etc/group

case $server in
postfix)
    mkdir -p "$work/etc" "$work/data" /var/spool/postfix
    chown 60910 "$work/data"
    cat >"$work/etc/main.cf" <<EOF
compatibility_level = 3.6
queue_directory = /var/spool/postfix
data_directory = $work/data
daemon_directory = /usr/lib/postfix/sbin
shlib_directory = /usr/lib/postfix
meta_directory = $work/etc
myhostname = mx.lab.example
inet_interfaces = $address
inet_protocols = ipv4
mydestination = lab.example
local_recipient_maps = inline:{postmaster=x}
local_transport = discard:
smtpd_delay_reject = no
smtpd_sender_restrictions = check_sender_access inline:{{refused@lab.example = REJECT not from you}}
smtpd_tls_security_level = may
smtpd_tls_chain_files = $work/chain.pem
smtpd_peername_lookup = no
maillog_file = /var/spool/log
alias_maps =
EOF
    cat "$work/key.pem" "$work/cert.pem" >"$work/chain.pem"
    cat >"$work/etc/master.cf" <<EOF
25        inet  n - n - - smtpd
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 300 1 qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
proxymap  unix  - - n - - proxymap
anvil     unix  - - n - 1 anvil
error     unix  - - n - - error
discard   unix  - - n - - discard
postlog   unix-dgram n - n - 1 postlogd
EOF
    cp "$root"/usr/share/postfix/dynamicmaps.cf "$root"/etc/postfix/postfix-files "$work/etc/" 2>/dev/null || :
    for d in active bounce corrupt defer deferred flush hold incoming private saved trace; do
        mkdir -m 700 "/var/spool/postfix/$d"
        chown 60910 "/var/spool/postfix/$d"
    done
    mkdir -m 1730 /var/spool/postfix/maildrop
    mkdir -m 710 /var/spool/postfix/public
    mkdir -m 755 /var/spool/postfix/pid
    chown 60910:60911 /var/spool/postfix/maildrop /var/spool/postfix/public
    exec /usr/lib/postfix/sbin/master -c "$work/etc" -d
    ;;
exim4-daemon-light)
    mkdir -p /var/spool/exim4
    chown 60912:60912 /var/spool/exim4
    cp "$work/cert.pem" "$work/key.pem" /var/spool/exim4/
    chown 60912 /var/spool/exim4/*.pem
    cat >"$work/exim.conf" <<EOF
primary_hostname = mx.lab.example
smtp_banner = mx.lab.example ESMTP Exim
local_interfaces = $address
daemon_smtp_ports = 25
exim_user = Debian-exim
exim_group = Debian-exim
spool_directory = /var/spool/exim4
log_file_path = /var/spool/exim4/%slog
rfc1413_query_timeout = 0s
queue_only
tls_advertise_hosts = *
tls_certificate = /var/spool/exim4/cert.pem
tls_privatekey = /var/spool/exim4/key.pem
acl_smtp_mail = sender
acl_smtp_rcpt = recipient
acl_smtp_data = message
begin acl
sender:
  deny message = not from you
       senders = refused@lab.example
  accept
recipient:
  deny message = nobody of that name
       !recipients = postmaster@lab.example : refused-message@lab.example
  accept
message:
  deny message = no such message
       condition = \${if match{\$recipients}{refused-message}}
  accept
begin routers
drop:
  driver = redirect
  data = :blackhole:
EOF
    chmod 644 "$work/exim.conf"
    exec /usr/sbin/exim4 -C "$work/exim.conf" -bdf
    ;;
opensmtpd)
    mkdir -p /var/lib/opensmtpd/empty
    mount -t tmpfs tmpfs /run # its control socket is /run/smtpd.sock, which another one may have
    cat >"$work/smtpd.conf" <<EOF
pki mx.lab.example cert "$work/cert.pem"
pki mx.lab.example key "$work/key.pem"
listen on $address port 25 tls pki mx.lab.example hostname mx.lab.example
table people { postmaster@lab.example }
action drop mda "cat >/dev/null" user nobody
match from any mail-from "refused@lab.example" for any reject
match from any for rcpt-to <people> action drop
EOF
    chmod 644 "$work/smtpd.conf"
    mkdir -m 711 /var/spool/smtpd
    exec /usr/sbin/smtpd -d -f "$work/smtpd.conf"
    ;;
esac
