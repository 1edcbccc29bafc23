// Drives the unmodified ConvexClient, over a WebSocket, against a server of the sample app:
// node live.mjs ADDRESS CONTROL
// GET CONTROL/kill kills the server and starts it again, CONTROL/deaf has no answer of it come through, and
// CONTROL/cut ends that and every connection, once the server has done what was asked for.
import { ConvexClient } from "convex/browser";
import { anyApi } from "convex/server";
import { ConvexError } from "convex/values";
import { base, fails, is } from "./check.mjs";

const control = (what) => fetch(`${process.argv[3]}/${what}`).then((r) => (r.ok ? undefined : r.text().then((t) => Promise.reject(new Error(t)))));
const client = new ConvexClient(base);

// follow keeps the latest result of a query, and waits for one that is wanted.
function follow(query, args) {
  const f = { results: [], waits: [] };
  const look = () => {
    f.waits = f.waits.filter(([want, done]) => !(f.results.length && want(f.results.at(-1)) && (done(f.results.at(-1)), true)));
  };
  f.stop = client.onUpdate(query, args, (r) => (f.results.push(r), look()), (e) => (f.results.push(e), look()));
  f.until = (want) => new Promise((done) => (f.waits.push([want, done]), look()));
  return f;
}

const pending = { function: "reminders:fire", state: "pending" };
const jobs = follow(anyApi.jobs.list, pending);
is("a query begins with what there is", (await jobs.until(() => true)).length, 0);

const set = (text, afterMs) => client.mutation(anyApi.reminders.set, { text, afterMs });
const first = await set("one", 3600000);
is("a mutation is seen when it resolves", jobs.results.at(-1).map((j) => j.id), [first.jobId]);
const several = await Promise.all(["two", "three", "four"].map((text) => set(text, 3600000)));
is("several in a row, too", jobs.results.at(-1).length, 4);
is("each with its own answer", new Set(several.map((s) => s.jobId)).size, 3);

// A job that comes due is seen without asking, and so is the end of one.
const fired = follow(anyApi.reminders.list, {});
const soon = await set("soon", 100);
await fired.until((list) => list.some((r) => r.jobId === soon.jobId));
is("a job that has run is seen", jobs.results.at(-1).length <= 5, true);
await jobs.until((list) => list.length === 4);
is("and left the pending ones", jobs.results.at(-1).length, 4);
fired.stop();

// Values and errors.
is("an action", await client.action(anyApi.echo.act, { n: 2n ** 53n + 1n, b: new Uint8Array([1]).buffer, f: 0.5, s: "é" }), { n: 2n ** 53n + 1n, b: new Uint8Array([1]).buffer, f: 0.5, s: "é" });
const refused = await fails(client.mutation(anyApi.reminders.set, { text: "", afterMs: 1 }));
is("a mutation that is refused", [refused instanceof ConvexError, refused.data.code, refused.data.path], [true, "invalid_argument", "reminders:set"]);
const unfit = await fails(client.action(anyApi.echo.act, { f: NaN }));
is("an action with what is no value", [unfit instanceof ConvexError, unfit.data.code], [true, "invalid_argument"]);
const internal = await fails(client.mutation(anyApi.reminders.fire, {}));
is("an internal function is unknown", internal.data.code, "not_found");
for (const [what, query, args, code] of [
  ["a query that is refused", anyApi.orders.get, { orderId: "none" }, /not_found|invalid_argument/],
  ["a query with an unknown field", anyApi.jobs.list, { nosuch: 1 }, /invalid_argument/],
  ["a query that is none", anyApi.no.such, {}, /not_found/],
  ["a query whose result cannot be held", anyApi.echo.keys, {}, /failed_precondition/],
]) {
  const f = follow(query, args);
  const e = await f.until(() => true);
  is(what, [e instanceof ConvexError, code.test(e.data?.code)], [true, true]);
  f.stop();
}

// The answer to a mutation is lost: it is applied once.
await control("deaf");
const lost = set("lost", 3600000);
await control("cut");
const found = await lost;
is("a mutation whose answer was lost is applied once", jobs.results.at(-1).length, 5);
is("and answered with what it has come to", jobs.results.at(-1).some((j) => j.id === found.jobId), true);

// The server is killed and comes again.
const before = jobs.results.length;
await control("kill");
const after = await set("after", 3600000);
is("after a kill the client goes on", [jobs.results.at(-1).length, jobs.results.at(-1).some((j) => j.id === after.jobId)], [6, true]);
is("and has missed nothing", jobs.results.slice(before).every((list) => list.length === 5 || list.length === 6), true);

// What is not followed any more is not told.
jobs.stop();
const told = jobs.results.length;
await set("more", 3600000);
is("after the end of a query nothing is told of it", jobs.results.length, told);
await client.close();
process.exit(0);
