// A session that others try to harm: node victim.mjs autobahn|wampy NAME json|cbor|msgpack
//
// Subscribes, registers and calls, until its calls are answered with "done"; then it must still be there.

import { assert, within } from './check.mjs';
import { join } from './libraries.mjs';

const LATER = ['wamp.error.no_such_procedure', 'com.example.later'];
const [library, name, serializer] = process.argv.slice(2);
const mine = `com.example.victim.${name}`;

const session = await join(library, serializer, {
  lost: (why) => {
    console.error(`${library} with ${serializer} lost its session: ${why}`);
    process.exit(1);
  },
});
await within(session.subscribe('com.example.harm', () => {}), 'subscribe');
// Not every value that arrives can be sent back.
await within(session.register(mine, (args) => (args?.[0] === 7 ? 7 : null)), 'register');
console.log('ready');
for (;;) {
  try {
    if ((await within(session.call('com.example.hostile', [name]), 'call'))?.[0] === 'done') break;
  } catch (error) {
    const uri = session.uriOf(error);
    if (uri === undefined) throw error;
    if (LATER.includes(uri)) await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
assert.deepEqual(await within(session.call(mine, [7]), 'its own procedure'), [7]);
await session.leave();
process.exit(0);
