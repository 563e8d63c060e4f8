#!/bin/sh
# run.sh VM [PART]...: runs ports.sh as root on a Debian of its own, under the unit file, and shows what it says.
# VM is a program that boots one: VM run [-t SECONDS] [-o FOLDER] [-f FILE[:AT]]... SCRIPT [ARGUMENT]...
# copies the files in, to AT or to /job/NAME, runs the script as root, brings back what it leaves in /out
# and exits with its status. The log and what the workload said come to bin/vm.
set -eu
vm=${1:?which program boots a machine?}
shift
cd "$(dirname "$0")/../../.."
for name in load score; do
	CGO_ENABLED=0 go build -ldflags=-w -o bin/$name "./internal/test/portload/$name"
done
exec "$vm" run -t "${VM_SECONDS:-1800}" -o bin/vm -f bin/diagsh:/usr/local/bin/diagsh \
	-f assets/diagsh.service:/etc/systemd/system/diagsh.service -f bin/load -f bin/score internal/test/vm/ports.sh "$@"
