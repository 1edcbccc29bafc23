// A worker for remote functions: node worker.mjs PORT SECRET-FILE
import { createHmac, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';

const [port, secretFile] = process.argv.slice(2);
const secret = readFileSync(secretFile, 'utf8').trim();

// The functions of this worker. An id is the same in each attempt of a job: hand it on as an idempotency key.
const functions = {
  'mail:send': async ({ to }, { app, id, attempt }) => ({ sent: to, app, id, attempt }),
  'mail:fail': async () => { throw new Error('the mail server is down'); },
  'mail:slow': ({ ms }) => new Promise((done) => setTimeout(done, ms, 'slept')),
};

const running = new Set(); // ids: an attempt that comes while an earlier one runs is declined
const seen = new Map(); // "id attempt" and when: a pair that comes again is a copy

const sign = (text) => createHmac('sha256', secret).update(text).digest('base64url');
const same = (a = '', b) => a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));

// verified is what the request asks for, or null if it is not signed, too old, or a copy.
function verified(headers, body) {
  let ask;
  try { ask = JSON.parse(body); } catch { return null; }
  const attempt = headers['x-carillon-attempt'], stamp = headers['x-carillon-timestamp'];
  const lines = Buffer.from(['carillon/1', ask.instanceName, ask.id, attempt, stamp, ''].join('\n'));
  if (!same(headers['x-lunora-scheduler-signature'], sign(body))) return null;
  if (!same(headers['x-carillon-signature'], sign(Buffer.concat([lines, body])))) return null;
  const now = Date.now();
  if (!(Math.abs(now / 1000 - Number(stamp)) <= 300)) return null;
  for (const [pair, at] of seen) if (now - at > 600_000) seen.delete(pair);
  const pair = `${ask.instanceName}/${ask.id} ${attempt}`;
  if (seen.has(pair)) return null;
  seen.set(pair, now);
  return { ...ask, attempt: Number(attempt) };
}

async function answer(headers, body) {
  const ask = verified(headers, body);
  if (!ask) return [403, { error: { code: 'FORBIDDEN', message: 'not signed, too old, or a copy' } }];
  const fn = functions[ask.functionPath];
  if (!fn) return [404, { error: { code: 'FUNCTION_NOT_FOUND', message: ask.functionPath } }];
  const key = `${ask.instanceName}/${ask.id}`;
  if (running.has(key)) return [409, { error: { code: 'DISPATCH_IN_PROGRESS', message: 'an earlier attempt runs' } }];
  running.add(key);
  try {
    return [200, { result: await fn(ask.args, { app: ask.instanceName, id: ask.id, attempt: ask.attempt }) }];
  } catch (err) {
    return [500, { error: { code: 'FAILED', message: err.message } }];
  } finally {
    running.delete(key);
  }
}

createServer(async (req, res) => {
  const chunks = [];
  for await (const chunk of req) chunks.push(chunk);
  const known = req.method === 'POST' && req.url === '/_lunora/scheduler/dispatch';
  const [status, out] = known ? await answer(req.headers, Buffer.concat(chunks)) : [404, { error: { code: 'NOT_FOUND' } }];
  if (status === 409) res.setHeader('x-lunora-dispatch-declined', '1');
  res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(out));
}).listen(Number(port), '127.0.0.1', function () { console.log(`listening on ${this.address().port}`); });
