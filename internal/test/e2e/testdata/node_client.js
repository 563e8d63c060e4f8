// A client of node's ssh2: HOST PORT. It does what lines of standard input ask for, each a JSON array USER, KEYFILE and run LINE, list,
// get REMOTE LOCAL, remove REMOTE or put LOCAL REMOTE, and answers each with a line: an object of out, err and status.
const fs = require('fs');
const readline = require('readline');
const { Client } = require('ssh2');

const [host, port] = process.argv.slice(2);

function act(user, key, verb, ...args) {
  return new Promise((resolve) => {
    const done = { out: '', err: '', status: 0 };
    const client = new Client();
    const end = (error) => {
      if (error) {
        done.err += String(error);
        done.status = 1;
      }
      client.end();
      resolve(done);
    };
    client.on('error', end).on('ready', () => {
      if (verb === 'run') {
        client.exec(args[0], (error, stream) => {
          if (error) return end(error);
          stream.on('data', (text) => { done.out += text; });
          stream.stderr.on('data', (text) => { done.err += text; });
          stream.on('close', (status) => {
            done.status = status;
            end();
          });
        });
        return;
      }
      client.sftp((error, sftp) => {
        if (error) return end(error);
        switch (verb) {
          case 'list':
            return sftp.readdir('diagnostic', (error, list) => {
              if (!error) done.out = list.map((file) => file.filename).join('\n');
              end(error);
            });
          case 'get':
            return sftp.fastGet(args[0], args[1], end);
          case 'put':
            return sftp.fastPut(args[0], args[1], end);
          case 'remove':
            return sftp.unlink(args[0], end);
        }
      });
    }).connect({ host, port: Number(port), username: user, privateKey: fs.readFileSync(key) });
  });
}

(async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(await act(...JSON.parse(line))));
  }
})();
