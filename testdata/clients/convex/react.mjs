// Drives the unmodified convex/react, over wss, and ConvexHttpClient, over https, against a server of the sample
// app. Node 20 has no WebSocket of its own. NODE_EXTRA_CA_CERTS names the authority of its certificate. Nothing is drawn: the renderer is that for tests.
// node react.mjs ADDRESS
import { ConvexHttpClient } from "convex/browser";
import { ConvexProvider, ConvexReactClient, useAction, useMutation, useQuery } from "convex/react";
import { anyApi } from "convex/server";
import { act, createElement } from "react";
import { create } from "react-test-renderer";
import WebSocket from "ws";
import { base, fails, is } from "./check.mjs";

const http = new ConvexHttpClient(base);
const order = await http.mutation(anyApi.orders.place, { sku: "teapot" });
is("a mutation over https", (await http.query(anyApi.orders.get, { orderId: order.orderId })).sku, "teapot");
is("a slash at the end of the address", /ends with a slash/.test((await fails(new ConvexHttpClient(base + "/").query(anyApi.orders.get, {}))).message), true);

// The component shows what the app has: it is drawn anew by what comes over the WebSocket alone.
globalThis.IS_REACT_ACT_ENVIRONMENT = true;
const drawn = [];
let set, echo;
function Reminders({ state }) {
  const jobs = useQuery(anyApi.jobs.list, state ? { function: "reminders:fire", state } : "skip");
  set = useMutation(anyApi.reminders.set);
  echo = useAction(anyApi.echo.act);
  drawn.push(jobs && jobs.map((j) => j.id));
  return createElement("p", null, jobs ? `${jobs.length} jobs` : "loading");
}
const client = new ConvexReactClient(base, { webSocketConstructor: WebSocket });
const shown = (state) => createElement(ConvexProvider, { client }, createElement(Reminders, { state }));
let root;
await act(() => (root = create(shown("pending"))));
const text = () => root.toJSON().children.join("");
// until waits for the component to be drawn with the text.
const until = async (want) => {
  for (const end = Date.now() + 20000; text() !== want; ) {
    if (Date.now() > end) {
      console.error(`it shows ${JSON.stringify(text())}, want ${JSON.stringify(want)}`);
      process.exit(1);
    }
    await act(() => new Promise((done) => setTimeout(done, 2)));
  }
};
is("a query that has no result yet", drawn[0], undefined);
await until("0 jobs");
is("useQuery shows the result", drawn.at(-1), []);

let made;
await act(async () => (made = await set({ text: "tea", afterMs: 3600000 })));
is("useMutation: what it has done is shown when it resolves", [text(), drawn.at(-1)], ["1 jobs", [made.jobId]]);
const other = await http.mutation(anyApi.reminders.set, { text: "cup", afterMs: 3600000 });
await until("2 jobs");
is("what another client does is shown", drawn.at(-1).includes(other.jobId), true);
await act(async () => is("useAction", (await echo({ n: 2n ** 53n + 1n })).n, 2n ** 53n + 1n));
await act(() => root.update(shown("success")));
await until("0 jobs");
is("other arguments are another query", drawn.at(-1), []);
await act(() => root.update(shown(null)));
is("one that is skipped has no result", text(), "loading");
await act(() => root.update(shown("pending")));
await until("2 jobs");
const before = drawn.length;
await act(() => root.unmount());
await http.mutation(anyApi.reminders.set, { text: "pot", afterMs: 3600000 });
is("nothing is drawn behind the end", drawn.length, before);
await client.close();
process.exit(0);
