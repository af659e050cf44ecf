// wampy joins with WAMP-CRA, with one of its serializers: node wampy.mjs json|cbor|msgpack

import { Wampy } from 'wampy';
import { CborSerializer } from 'wampy/CborSerializer.js';
import { JsonSerializer } from 'wampy/JsonSerializer.js';
import { MsgpackSerializer } from 'wampy/MsgpackSerializer.js';
import * as cra from 'wampy/wampcra.js';
import { WebSocket } from 'ws';
import { assert, INTEROP, refused, SCENARIO, VALUES, within } from './check.mjs';

const SERIALIZERS = { json: JsonSerializer, cbor: CborSerializer, msgpack: MsgpackSerializer };
const uriOf = (error) => error.errorUri ?? error.error;

async function join(url, realm, user, secret, serializer) {
  const peer = new Wampy(url, {
    ws: WebSocket,
    serializer: new SERIALIZERS[serializer](),
    realm,
    authid: user,
    authmethods: ['wampcra'],
    onChallenge: cra.sign(secret),
    autoReconnect: false,
  });
  const welcome = await within(peer.connect(), `join as ${user}`);
  return { peer, welcome };
}

async function leave({ peer }) {
  await within(peer.disconnect(), 'leave');
}

async function scenario(serializer) {
  for (const [user, secret, authid] of [
    ['client1', 'secret123', 'client1'],
    ['peter', 'secret1', 'peter'],
    ['hans', '123456', 'ID09125'],
  ]) {
    const joined = await join(SCENARIO, 'realm1', user, secret, serializer);
    const { peer, welcome } = joined;
    assert.equal(welcome.authid, authid);
    assert.equal(welcome.authrole, 'frontend');
    assert.equal(welcome.authprovider, 'function');
    const result = await within(peer.call('com.example.add2', [2, 3]), 'call');
    assert.deepEqual(result.argsList, [5]);
    const not_authorized = 'wamp.error.not_authorized';
    await refused(peer.register('com.example.mul2', () => 0), not_authorized, uriOf);
    await refused(peer.subscribe('com.example.topic1', () => 0), not_authorized, uriOf);
    for (const topic of ['com.example.topic1', 'com.foobar.topic1']) {
      await within(peer.publish(topic, ['hello']), topic);
    }
    for (const topic of ['com.example.topic2', 'com.foobar.topic2']) {
      await refused(peer.publish(topic, ['hello']), not_authorized, uriOf);
    }
    await leave(joined);
  }
  await refused(join(SCENARIO, 'realm1', 'client1', 'wrong', serializer), 'wamp.error.not_authorized', uriOf);
  await refused(join(SCENARIO, 'realm1', 'nobody', 'x', serializer), 'com.example.no_such_user', uriOf);
}

async function everything(serializer) {
  const ada = await join(INTEROP, 'interop', 'ada', "ada's secret", serializer);
  const bob = await join(INTEROP, 'interop', 'bob', 'secret1', serializer);
  const echo = ({ argsList, argsDict }) => ({ argsList, argsDict });
  await within(ada.peer.register('com.example.public.echo', echo), 'register');
  const result = await within(
    bob.peer.call('com.example.public.echo', { argsList: VALUES, argsDict: { named: VALUES } }),
    'call',
  );
  assert.deepEqual([result.argsList, result.argsDict], [VALUES, { named: VALUES }]);

  let arrived;
  const event = new Promise((resolve) => (arrived = resolve));
  const topic = 'com.example.public.topic';
  await within(bob.peer.subscribe(topic, arrived), 'subscribe');
  await within(ada.peer.publish(topic, { argsList: VALUES, argsDict: { a: 1 } }), 'publish');
  const { argsList, argsDict } = await within(event, 'event');
  assert.deepEqual([argsList, argsDict], [VALUES, { a: 1 }]);

  await within(ada.peer.unregister('com.example.public.echo'), 'unregister');
  await refused(bob.peer.call('com.example.public.echo'), 'wamp.error.no_such_procedure', uriOf);
  await leave(bob);
  await leave(ada);
}

const serializer = process.argv[2] ?? 'json';
await scenario(serializer);
await everything(serializer);
process.exit(0);
