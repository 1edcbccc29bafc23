// Drives the unmodified ConvexHttpClient against a server of the sample app:
// node http.mjs ADDRESS OPERATOR-TOKEN
import { ConvexHttpClient } from "convex/browser";
import { anyApi, makeFunctionReference } from "convex/server";
import { ConvexError } from "convex/values";
import { base, fails, is } from "./check.mjs";

const token = process.argv[3];
const client = new ConvexHttpClient(base);
const bytes = (...of) => new Uint8Array(of).buffer;

// Values, by their declared type.
const big = 2n ** 53n + 1n;
is("an action has its arguments back", await client.action(anyApi.echo.act, { n: big, b: bytes(0, 255, 7), f: 0.1, s: "é" }), { n: big, b: bytes(0, 255, 7), f: 0.1, s: "é" });
is("small ones are of the same types", await client.action(anyApi.echo.act, { n: 5n, b: bytes(), f: 5, s: "" }), { n: 5n, b: bytes(), f: 5, s: "" });
is("what is left out, too", await client.action(anyApi.echo.act, {}), { n: 0n, b: bytes(), f: 0, s: "" });
is("the least integer", (await client.action(anyApi.echo.act, { n: -(2n ** 63n) })).n, -(2n ** 63n));
is("-0", Object.is((await client.action(anyApi.echo.act, { f: -0 })).f, -0), true);
is("a number is taken for an int64", (await client.action(anyApi.echo.act, { n: 2 ** 53 })).n, 2n ** 53n);
for (const [what, args, at] of [["NaN", { f: NaN }, ".f"], ["infinity", { f: -Infinity }, ".f"], ["a rounded number", { n: 2 ** 53 + 2 }, ".n"], ["bytes as text", { s: bytes(1) }, ".s"], ["a BigInt as a float", { f: 1n }, ".f"]]) {
  const e = await fails(client.action(anyApi.echo.act, args));
  is(`${what} is refused`, [e instanceof ConvexError, e.data.code, e.data.path, e.data.message.startsWith(`args: ${at}`)], [true, "invalid_argument", "echo:act", true]);
}
const keys = await fails(client.query(anyApi.echo.keys, {}));
is("a name that the client cannot hold", [keys instanceof ConvexError, keys.data.path, /\.é: the name has the character 'é'/.test(keys.message + keys.data.message)], [true, "echo:keys", true]);

// Mutations schedule, and queries see it.
const order = await client.mutation(anyApi.orders.place, { sku: "teapot" });
const seen = await client.query(anyApi.orders.get, { orderId: order.orderId });
is("a query sees the mutation", [seen.orderId, seen.sku], [order.orderId, "teapot"]);
const set = await client.mutation(anyApi.reminders.set, { text: "tea", afterMs: 3600000 });
is("the job is there", (await client.query(anyApi.jobs.get, { id: set.jobId })).state, "pending");
is("canceled", (await client.mutation(anyApi.jobs.cancel, { id: set.jobId })).canceled, true);
const many = await Promise.all(Array.from({ length: 20 }, (_, i) => client.mutation(anyApi.orders.place, { sku: `s${i}` }, { skipQueue: i % 2 === 0 })));
is("twenty at once", new Set(many.map((o) => o.orderId)).size, 20);

// Queries at one instant.
const then = new ConvexHttpClient(base);
const atThen = (await then.consistentQuery(anyApi.jobs.list, { function: "payments:charge" })).length;
await client.mutation(anyApi.orders.place, { sku: "late" });
is("a consistent query sees what there was", (await then.consistentQuery(anyApi.jobs.list, { function: "payments:charge" })).length, atThen);
is("and another client what there is", (await new ConvexHttpClient(base).consistentQuery(anyApi.jobs.list, { function: "payments:charge" })).length, atThen + 1);
for (let i = 0; i < 8; i++) {
  await client.mutation(anyApi.orders.place, { sku: "late" });
  await new ConvexHttpClient(base).consistentQuery(anyApi.jobs.list, { limit: 1, function: "no" });
}
const gone = await fails(then.consistentQuery(anyApi.jobs.list, {}));
is("one that is not kept says so", [gone instanceof ConvexError, gone.data.code], [true, "aborted"]);

// References of every kind.
is("by its path", (await client.query(makeFunctionReference("orders:get"), { orderId: order.orderId })).sku, "teapot");
is("of any kind", (await client.function("orders:get", undefined, { orderId: order.orderId })).sku, "teapot");

// Errors.
const error = async (what, promise, code, path, message) => {
  const e = await fails(promise);
  is(what, [e instanceof ConvexError, e.data.code, e.data.path, message.test(e.data.message)], [true, code, path, true]);
};
await error("a function refuses", client.mutation(anyApi.orders.place, { sku: "" }), "invalid_argument", "orders:place", /sku/);
await error("an unknown field", client.mutation(anyApi.orders.place, { sku: "x", nosuch: 1 }), "invalid_argument", "orders:place", /nosuch/);
await error("an unknown function", client.query(anyApi.no.such, {}), "not_found", "no:such", /no function/);
await error("an internal one is unknown", client.mutation(anyApi.orders.markPaid, { orderId: order.orderId }), "not_found", "orders:markPaid", /no function/);
await error("another kind", client.query(anyApi.orders.place, { sku: "x" }), "invalid_argument", "orders:place", /is of kind mutation, not query/);
await error("a path without a name", client.query(makeFunctionReference("orders"), {}), "not_found", "orders:default", /no function/);
is("a component", /no components/.test((await fails(client.function("orders:get", "c", {}))).message), true);
is("a slash at the end of the address", /ends with a slash/.test((await fails(new ConvexHttpClient(base + "/").query(anyApi.orders.get, {}))).message), true);

// Who calls.
client.setAuth("ann");
is("the credential is the host's to take", (await client.query(anyApi.orders.get, { orderId: order.orderId })).sku, "teapot");
client.setAuth("bad");
is("or to refuse", JSON.parse((await fails(client.query(anyApi.orders.get, { orderId: order.orderId }))).message).code, "unauthenticated");
client.setAuth(token);
is("an operator's token is no client's", JSON.parse((await fails(client.query(anyApi.orders.get, {}))).message).code, "unauthenticated");
client.setAdminAuth(token, { subject: "ann", issuer: "https://é.example" });
is("an operator reaches internal functions", await client.mutation(anyApi.orders.markPaid, { orderId: order.orderId }), null);
client.setAdminAuth(token.slice(0, -1));
is("with a good token", JSON.parse((await fails(client.query(anyApi.orders.get, {}))).message).code, "unauthenticated");
client.clearAuth();

// Once.
const keyed = new ConvexHttpClient(base, { fetch: (url, init) => fetch(url, { ...init, headers: { ...init.headers, "Idempotency-Key": "k" } }) });
const first = await keyed.mutation(anyApi.orders.place, { sku: "cup" });
is("a repeat is the same", await keyed.mutation(anyApi.orders.place, { sku: "cup" }), first);
is("another with its key is refused", (await fails(keyed.mutation(anyApi.orders.place, { sku: "pot" }))).data.code, "invalid_argument");
