// What the programs here share: the router's addresses and assertions.

import assert from 'node:assert/strict';

// The WebSocket URLs of the scenario's node and of the suite's own.
export const SCENARIO = process.env.WAMP_SCENARIO;
export const INTEROP = process.env.WAMP_WS;

export const PATIENCE = 20_000;

// Values that every serializer carries.
export const VALUES = [
  null, true, false, 0, 1, -1, 255, 65536, 2 ** 32, 2 ** 53 - 1, -(2 ** 53) + 1, 0.5, -1.25, 1e300,
  '', 'text', 'ä€😀', '"\\\n\t', 'x'.repeat(70_000), [], [[1], { a: [null] }], {}, { k: { l: 'm' } },
];

// The promise, unless it takes too long.
export function within(promise, what, patience = PATIENCE) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: no answer in ${patience} ms`)), patience);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// Asserts that the promise is rejected with this error URI; `uriOf` finds it in what is thrown.
export async function refused(promise, uri, uriOf) {
  let result;
  try {
    result = await within(promise, uri);
  } catch (error) {
    assert.equal(uriOf(error), uri, String(error));
    return error;
  }
  assert.fail(`expected ${uri}, got ${JSON.stringify(result)}`);
}

export { assert };
