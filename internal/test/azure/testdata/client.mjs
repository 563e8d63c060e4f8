// A whole life of a capture by @azure/arm-network: client.mjs URL TOKEN SUBSCRIPTION, on standard input a line of JSON with the
// parameters, and another line when the packets are sent. It prints what each step gave, as lines of JSON.
import { createInterface } from "node:readline";
import { NetworkManagementClient } from "@azure/arm-network";

const [url, token, subscription] = process.argv.slice(2);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const next = async () => (await lines.next()).value;
const say = (step, result) => console.log(JSON.stringify({ step, result }));

const credential = { getToken: async () => ({ token, expiresOnTimestamp: Date.now() + 3600e3 }) };
const { packetCaptures } = new NetworkManagementClient(credential, subscription, { endpoint: url, credentialScopes: [url + "/.default"] });
const updateIntervalInMs = 100;

const { group, watcher, name, parameters, other } = JSON.parse(await next());
const attempt = async (step, act) => {
  try {
    say(step, (await act()) ?? null);
  } catch (e) {
    say(step, { status: e.statusCode, code: e.code, message: e.message });
  }
};
const create = (p) => packetCaptures.beginCreateAndWait(group, watcher, name, p, { updateIntervalInMs });
const status = () => packetCaptures.beginGetStatusAndWait(group, watcher, name, { updateIntervalInMs });
const list = async () => {
  const names = [];
  for await (const c of packetCaptures.list(group, watcher)) names.push(c.name);
  return names;
};

await attempt("create", () => create(parameters));
await attempt("running", status);
await attempt("again", () => create(parameters));
await attempt("other", () => create(other));
await next();
await attempt("stop", () => packetCaptures.beginStopAndWait(group, watcher, name, { updateIntervalInMs }));
await attempt("stopped", status);
await attempt("get", () => packetCaptures.get(group, watcher, name));
await attempt("list", list);
await attempt("delete", () => packetCaptures.beginDeleteAndWait(group, watcher, name, { updateIntervalInMs }));
await attempt("gone", () => packetCaptures.get(group, watcher, name));
await attempt("empty", list);
process.exit(0);
