"""A client of asyncssh: HOST PORT. It does what lines of standard input ask for, each a JSON array USER, KEYFILE and run LINE, kill LINE, list,
get REMOTE LOCAL, remove REMOTE or put LOCAL REMOTE, and answers each with a line: an object of out, err and status."""

import asyncio
import json
import sys
import warnings

warnings.filterwarnings("ignore")  # of the cryptography library, about ciphers that asyncssh knows

import asyncssh

host, port = sys.argv[1:]


async def act(user, key, verb, *args):
    async with asyncssh.connect(host, int(port), username=user, client_keys=[key], known_hosts=None, config=None, agent_path=None) as client:
        if verb == "run":
            done = await client.run(args[0])
            return done.stdout, done.stderr, done.exit_status
        if verb == "kill":
            process = await client.create_process(args[0])
            await process.stdout.readline()
            process.kill()
            done = await process.wait()
            return done.exit_signal[0], "", 0
        async with client.start_sftp_client() as sftp:
            if verb == "list":
                return "\n".join(await sftp.listdir("diagnostic")), "", 0
            if verb == "get":
                await sftp.get(args[0], args[1])
            elif verb == "remove":
                await sftp.remove(args[0])
            elif verb == "put":
                await sftp.put(args[0], args[1])
            return "", "", 0


for line in sys.stdin:
    try:
        out, err, status = asyncio.run(act(*json.loads(line)))
    except (OSError, asyncssh.Error) as e:
        out, err, status = "", f"{type(e).__name__}: {e}", 1
    print(json.dumps({"out": out, "err": err, "status": status}), flush=True)
