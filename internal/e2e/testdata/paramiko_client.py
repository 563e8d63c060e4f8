"""A client of paramiko: HOST PORT USER KEYFILE, then what to do: run LINE, list, get REMOTE LOCAL, remove REMOTE, put LOCAL REMOTE."""

import sys

import paramiko

host, port, user, key, verb, *args = sys.argv[1:]
client = paramiko.SSHClient()
client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
client.connect(host, int(port), user, key_filename=key, allow_agent=False, look_for_keys=False)
try:
    if verb == "run":
        stdin, stdout, stderr = client.exec_command(args[0])
        stdin.close()
        sys.stdout.write(stdout.read().decode())
        sys.stderr.write(stderr.read().decode())
        sys.exit(stdout.channel.recv_exit_status())
    sftp = client.open_sftp()
    if verb == "list":
        print("\n".join(sftp.listdir("diagnostic")))
    elif verb == "get":
        sftp.get(args[0], args[1])
    elif verb == "remove":
        sftp.remove(args[0])
    elif verb == "put":
        sftp.put(args[0], args[1])
except OSError as e:
    sys.exit(f"{type(e).__name__}: {e}")
finally:
    client.close()
