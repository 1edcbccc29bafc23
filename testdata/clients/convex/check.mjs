// What the drivers check with: each check is a line of the output, and one that fails ends the driver.
import { deepStrictEqual } from "node:assert";

export const base = process.argv[2];

export function is(what, got, want) {
  try {
    deepStrictEqual(got, want);
  } catch (e) {
    console.error(`${what}: ${e.message}`);
    process.exit(1);
  }
  console.log(`ok ${what}`);
}

// fails is what the promise is rejected with.
export async function fails(promise) {
  try {
    await promise;
  } catch (e) {
    return e;
  }
  console.error("it was to fail, and has not");
  process.exit(1);
}

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
