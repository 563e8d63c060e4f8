#!/bin/bash
# ports.sh [PART]...: what diagsh sees of sockets, processes and drops on this machine. PARTs are
# unit, captures, rights and tiers; all of them if none is named. It fails for a wrong process, and
# for a capture that names none.
set -u
chmod 755 /usr/local/bin/diagsh /job/load /job/score
failed=0
size="-n ${VM_N:-10} -rate ${VM_RATE:-200} -seconds 1"
diagnostic=/var/lib/diagsh/diagnostic
override=/etc/systemd/system/diagsh.service.d

# say runs a line of diagsh, and says it and its status.
say() {
	echo "> $*"
	timeout 120 diagsh -c "$*"
	status=$?
	[ $status = 0 ] || echo "[exit $status]"
}

# must says a line and its output, which has to match a pattern.
must() {
	pattern=$1
	shift
	said=$(say "$*")
	echo "$said"
	grep -qE "$pattern" <<<"$said" && return
	echo "nothing there is of $pattern"
	failed=1
}

# only says a line's status and what matters of what it says, on one line each.
only() {
	pattern=$1
	shift
	said=$(timeout 120 diagsh -c "$*" 2>&1)
	echo "> $* [exit $?]"
	echo "$said" | sed ':a;N;$!ba;s/\n  */ /g' | grep -E "$pattern"
}

# A machine without hardware virtualisation takes its time for the first password.
start() {
	mkdir -p $override
	printf '[Service]\nTimeoutStartSec=600\nWatchdogSec=600\n%s\n' "${1:-}" >$override/vm.conf
	systemctl daemon-reload
	systemctl restart diagsh || journalctl -u diagsh --no-pager -o cat | tail
}

# unit runs the workload while the appliance logs, and scores the log.
unit() {
	start
	say portlog start
	say portlog stop >/dev/null
	rm -f $diagnostic/*-portlog-*
	mkdir -p /run/work /out
	mkfifo /run/work/go
	/job/load run -truth /run/work/truth.ndjson $size </run/work/go >/run/work/said &
	load=$!
	exec 9>/run/work/go
	until grep -q ready /run/work/said; do
		kill -0 $load || return
		sleep 0.1
	done
	say portlog start >/dev/null
	echo >&9
	exec 9>&-
	wait $load || failed=1
	sleep 2 # lines are on the disk within one
	say portlog status
	say portlog stop >/dev/null
	cat $diagnostic/*-portlog-*.ndjson >/out/log.ndjson
	cp /run/work/truth.ndjson /out
	/job/score -log /out/log.ndjson -truth /out/truth.ndjson || failed=1
}

talk() {
	socat -u TCP-LISTEN:7777,reuseaddr /dev/null &
	until ss -Hltn 'sport = 7777' | grep -q .; do sleep 0.1; done
	echo hi | socat - TCP:127.0.0.1:7777
	echo hi | socat - UDP:127.0.0.1:7778 2>/dev/null
	ping -c 1 127.0.0.1 >/dev/null
	wait $!
	sleep 1
}

captures() {
	systemctl is-active -q diagsh || start
	say packetcapture start name whose interface lo format pcapng processes yes
	talk
	say packetcapture stop whose
	must '^ *process=socat .* to process=socat ' packetcapture show whose process socat filter tcp
	must '^ *process=socat [^ ]* user=root exe=[^ ]*$' packetcapture show whose filter udp
	say packetcapture start name its interface lo process socat
	talk
	must ' 10 written' packetcapture stop its
	say packetcapture start name lost interface lo drops yes
	talk
	must 'Drops: .*NO_SOCKET' packetcapture stop lost
	while sleep 0.5; do echo hi | socat - UDP:127.0.0.1:7778 2>/dev/null; done &
	must NO_SOCKET netstat drops all yes seconds 8
	kill $!
	must '2222.*[0-9]/diagsh.*root' netstat sockets processes yes
}

# rights takes one capability after the other away.
rights() {
	all=$(sed -n 's/^CapabilityBoundingSet=//p' /etc/systemd/system/diagsh.service)
	for right in none CAP_BPF CAP_PERFMON CAP_NET_ADMIN CAP_SYS_PTRACE CAP_DAC_READ_SEARCH; do
		echo "== without $right"
		start "CapabilityBoundingSet=
CapabilityBoundingSet=$(echo "$all" | tr ' ' '\n' | grep -vx "$right" | tr '\n' ' ')"
		only 'Watching|Not seen|diagsh:' portlog start
		talk
		only . portlog stop >/dev/null
		log=$(ls -t $diagnostic/*-portlog-*.ndjson 2>/dev/null | head -n 1)
		[ -z "$log" ] || echo "records: $(wc -l <"$log"), with a process: $(grep -c '"process":' "$log"), with its file: $(grep -c '"exe":' "$log"), with a cgroup: $(grep -c '"cgroup":' "$log")"
		only 'diagsh:|Processes:|Not seen' packetcapture start name "whose-$right" interface lo format pcapng processes yes
		only 'diagsh:|Process:' packetcapture start name "its-$right" interface lo process socat
		only 'diagsh:|Drops:' packetcapture start name "lost-$right" interface lo drops yes
		only . netstat drops seconds 1
		for name in whose its lost; do timeout 60 diagsh -c "packetcapture stop $name-$right" >/dev/null 2>&1; done
	done
	start
}

tiers() {
	/job/score -load /job/load $size -late 2s || failed=1
}

uname -r
systemctl --version | head -n 1
sysctl kernel.perf_event_paranoid
for part in ${*:-unit captures rights tiers}; do
	echo "= $part"
	$part
done
exit $failed
