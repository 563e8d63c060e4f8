// Runs a capture from start to download, by the types that are generated from openapi.json: client URL TOKEN.
import createClient from 'openapi-fetch';
import type { paths } from './schema.js';

const [url, token] = process.argv.slice(2);
const client = createClient<paths>({ baseUrl: url, headers: { Authorization: `Bearer ${token}` } });

function must(holds: boolean, what: string, value: unknown): asserts holds {
  if (!holds) throw new Error(`${what}: ${JSON.stringify(value)}`);
}

const name = 'generated-ts';
const started = await client.POST('/v1/captures', { body: { name, interfaces: ['lo'], filter: 'icmp and host 127.0.0.8' } });
must(started.data?.state === 'Running' && started.response.headers.get('Location') === `/v1/captures/${name}`, 'start', started.error);

const pinged = await client.POST('/v1/run/ping', { body: { host: '127.0.0.8', count: 3 }, parseAs: 'text' });
must(pinged.response.ok, 'ping', pinged.error);

const stopped = await client.POST('/v1/captures/{name}/stop', { params: { path: { name } } });
const file = stopped.data?.files?.[0];
must(file !== undefined && file.packets === 6, 'stop', stopped);

const downloaded = await client.GET('/v1/files/{name}', { params: { path: { name: file.name } }, parseAs: 'arrayBuffer' });
must((downloaded.data as ArrayBuffer | undefined)?.byteLength === file.bytes, 'download', file);

const listed = await client.GET('/v1/captures', { params: { query: { pageSize: 1000 } } });
must(listed.data?.captures.some((c) => c.name === name) === true && listed.data.nextPageToken === '', 'list', listed);

const gone = await client.GET('/v1/captures/{name}', { params: { path: { name: 'nosuch' } } });
must(gone.error?.kind === 'notFound' && gone.response.status === 404, 'a capture that is none', gone.error);

const deleted = await client.DELETE('/v1/captures/{name}', { params: { path: { name } } });
must(deleted.response.status === 204, 'delete', deleted.error);
console.log(file.packets, 'packets');
