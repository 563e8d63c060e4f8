"""A client of paramiko: HOST PORT. It does what lines of standard input ask for, each a JSON array USER, KEYFILE and run LINE, list,
get REMOTE LOCAL, remove REMOTE or put LOCAL REMOTE, and answers each with a line: an object of out, err and status."""

import json
import sys

import paramiko

host, port = sys.argv[1:]


def act(user, key, verb, *args):
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    client.connect(host, int(port), user, key_filename=key, allow_agent=False, look_for_keys=False)
    try:
        if verb == "run":
            stdin, stdout, stderr = client.exec_command(args[0])
            stdin.close()
            return stdout.read().decode(), stderr.read().decode(), stdout.channel.recv_exit_status()
        sftp = client.open_sftp()
        if verb == "list":
            return "\n".join(sftp.listdir("diagnostic")), "", 0
        if verb == "get":
            sftp.get(args[0], args[1])
        elif verb == "remove":
            sftp.remove(args[0])
        elif verb == "put":
            sftp.put(args[0], args[1])
        return "", "", 0
    finally:
        client.close()


for line in sys.stdin:
    try:
        out, err, status = act(*json.loads(line))
    except OSError as e:
        out, err, status = "", f"{type(e).__name__}: {e}", 1
    print(json.dumps({"out": out, "err": err, "status": status}), flush=True)
