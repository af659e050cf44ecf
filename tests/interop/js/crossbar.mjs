// What clients of Crossbar.io rely on: node crossbar.mjs autobahn|wampy json|cbor|msgpack

import { assert, refused, within } from './check.mjs';
import { join } from './libraries.mjs';

const [library, serializer] = process.argv.slice(2);
const adm = await join(library, serializer, { user: 'adm', secret: "adm's secret" });

// URIs are loose.
for (const uri of ['com.company.camelCase', 'de.abc-de.test', 'BTC_XMR']) {
  const session = await join(library, serializer);
  let arrived;
  const event = new Promise((resolve) => (arrived = resolve));
  await within(session.subscribe(uri, arrived), `subscribe to ${uri}`);
  await within(session.register(uri, ([n]) => n + 1), `register ${uri}`);
  const other = await join(library, serializer);
  await within(other.publish(uri, [1]), `publish to ${uri}`);
  assert.deepEqual(await within(event, 'event'), [1]);
  assert.deepEqual(await within(other.call(uri, [1]), `call ${uri}`), [2]);
  await other.leave();
  await session.leave();
}

// HELLO's authextra is in WELCOME and in the meta API. wampy sends it only together with an authid.
const authextra = { place: 'kitchen', shelf: 3 };
for (const who of [...(library === 'wampy' ? [] : [{}]), { user: 'ada', secret: "ada's secret" }]) {
  const session = await join(library, serializer, { ...who, authextra });
  const { place, shelf } = session.details.authextra;
  assert.deepEqual({ place, shelf }, authextra, 'WELCOME');
  const id = session.details.session ?? (await sessionOf(session));
  const [told] = await within(adm.call('wamp.session.get', [id]), 'wamp.session.get');
  assert.deepEqual([told.authextra.place, told.authextra.shelf], ['kitchen', 3], 'wamp.session.get');
  await session.leave();
}

// A text cut inside a character ends nobody's session. Only JSON can say it.
const [one, two] = [await join(library, serializer), await join(library, serializer)];
if (serializer === 'json') {
  let arrived;
  const event = new Promise((resolve) => (arrived = resolve));
  await within(one.subscribe('com.example.cut', arrived), 'subscribe');
  await within(two.publish('com.example.cut', ['ab😀'.slice(0, 3)]), 'publish');
  assert.deepEqual(await within(event, 'event'), ['ab\ufffd']);
}

// Results in parts, whatever the callee has announced.
const count = ([n], progress) => {
  for (let i = 0; i < n; i++) progress([i]);
  return n;
};
await within(one.register('com.example.count', count), 'register');
const parts = [];
assert.deepEqual(await within(two.call('com.example.count', [3], ([part]) => parts.push(part)), 'call'), [3]);
assert.deepEqual(parts, [0, 1, 2]);
await two.leave();
await one.leave();

// An unknown user is told what one with a wrong secret is told.
if (serializer === 'json') {
  const told = [];
  for (const user of ['ada', 'nobody_at_all']) {
    const uriOf = (error) => error.errorUri ?? error.error;
    const error = await refused(join(library, serializer, { user, secret: 'wrong' }), 'wamp.error.not_authorized', uriOf);
    told.push(error.details?.message ?? error.message);
  }
  assert.equal(told[0], told[1]);
}
await adm.leave();
process.exit(0);

async function sessionOf({ details }) {
  const [ids] = await within(adm.call('wamp.session.list', []), 'wamp.session.list');
  for (const id of ids) {
    const [found] = await within(adm.call('wamp.session.get', [id]), 'wamp.session.get');
    if (found.authid === details.authid) return id;
  }
  assert.fail(`no session of ${details.authid}`);
}
