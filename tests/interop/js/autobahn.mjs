// Autobahn|JS joins with WAMP-CRA, with one of its serializers: node autobahn.mjs json|cbor|msgpack

import autobahn from 'autobahn';
import { WebSocket } from 'ws';
import { assert, INTEROP, refused, SCENARIO, VALUES, within } from './check.mjs';

// Autobahn|JS uses the WebSocket of the browser or of Node.js 22.
globalThis.WebSocket ??= WebSocket;

const SERIALIZERS = {
  json: () => new autobahn.serializer.JSONSerializer(),
  cbor: () => new autobahn.serializer.CBORSerializer(),
  msgpack: () => new autobahn.serializer.MsgpackSerializer(),
};
const uriOf = (error) => error.error;

// Promises that collect the progress of a call.
function deferred() {
  const it = {};
  it.promise = new Promise((resolve, reject) => Object.assign(it, { resolve, reject }));
  it.promise.progress = [];
  it.notify = (result) => it.promise.progress.push(result);
  return it;
}

// A session that joined; `left` resolves to the details of its end.
function join(url, realm, user, secret, serializer) {
  const connection = new autobahn.Connection({
    transports: [{ type: 'websocket', url, serializers: [SERIALIZERS[serializer]()] }],
    realm,
    authmethods: ['wampcra'],
    authid: user,
    max_retries: 0,
    use_deferred: deferred,
    onchallenge: (_session, method, extra) => {
      assert.equal(method, 'wampcra');
      const { salt, iterations, keylen } = extra;
      const key = salt ? autobahn.auth_cra.derive_key(secret, salt, iterations, keylen) : secret;
      return autobahn.auth_cra.sign(key, extra.challenge);
    },
  });
  let resolveLeft;
  const left = new Promise((resolve) => (resolveLeft = resolve));
  const joined = new Promise((resolve, reject) => {
    connection.onopen = (session, details) => resolve({ connection, session, details, left });
    connection.onclose = (reason, details) => {
      reject(Object.assign(new Error(`not joined: ${details.reason}`), { error: details.reason, details }));
      resolveLeft(details);
      return true;
    };
  });
  connection.open();
  return within(joined, `join as ${user}`);
}

async function leave(peer) {
  peer.connection.close();
  const details = await within(peer.left, 'leave');
  assert.equal(details.reason, 'wamp.close.normal');
}

async function scenario(serializer) {
  for (const [user, secret, authid] of [
    ['client1', 'secret123', 'client1'],
    ['peter', 'secret1', 'peter'],
    ['hans', '123456', 'ID09125'],
  ]) {
    const peer = await join(SCENARIO, 'realm1', user, secret, serializer);
    const { session, details } = peer;
    assert.equal(details.authid, authid);
    assert.equal(details.authrole, 'frontend');
    assert.equal(details.authprovider, 'function');
    assert.equal(await within(session.call('com.example.add2', [2, 3]), 'call'), 5);
    const not_authorized = 'wamp.error.not_authorized';
    await refused(session.register('com.example.mul2', () => 0), not_authorized, uriOf);
    await refused(session.subscribe('com.example.topic1', () => 0), not_authorized, uriOf);
    await refused(session.call('com.example.other'), not_authorized, uriOf);
    for (const topic of ['com.example.topic1', 'com.foobar.topic1']) {
      const publication = await within(session.publish(topic, ['hello'], {}, { acknowledge: true }), topic);
      assert.ok(publication.id >= 1);
    }
    for (const topic of ['com.example.topic2', 'com.foobar.topic2']) {
      await refused(session.publish(topic, ['hello'], {}, { acknowledge: true }), not_authorized, uriOf);
    }
    await leave(peer);
  }
  await refused(join(SCENARIO, 'realm1', 'client1', 'wrong', serializer), 'wamp.error.not_authorized', uriOf);
  await refused(join(SCENARIO, 'realm1', 'nobody', 'x', serializer), 'com.example.no_such_user', uriOf);
}

async function everything(serializer) {
  const ada = await join(INTEROP, 'interop', 'ada', "ada's secret", serializer);
  const bob = await join(INTEROP, 'interop', 'bob', 'secret1', serializer);
  const echo = (args, kwargs) => new autobahn.Result(args, kwargs);
  const registration = await within(ada.session.register('com.example.public.echo', echo), 'register');
  const fail = (args) => {
    throw new autobahn.Error('com.example.error.custom', args, { why: 'asked to' });
  };
  await within(ada.session.register('com.example.public.fail', fail), 'register');

  for (const caller of [bob, ada]) {
    const result = await within(caller.session.call('com.example.public.echo', VALUES, { named: VALUES }), 'call');
    assert.deepEqual(result.args, VALUES);
    assert.deepEqual(result.kwargs, { named: VALUES });
    const error = await refused(
      caller.session.call('com.example.public.fail', [1, 'two']),
      'com.example.error.custom',
      uriOf,
    );
    assert.deepEqual([error.args, error.kwargs], [[1, 'two'], { why: 'asked to' }]);
  }

  // A callee that gives progress without announcing call_canceling.
  const count = ([n], _kwargs, { progress }) => {
    for (let i = 0; i < n; i++) progress([i]);
    return n;
  };
  await within(ada.session.register('com.example.public.count', count), 'register');
  const counting = bob.session.call('com.example.public.count', [3], {}, { receive_progress: true });
  assert.equal(await within(counting, 'count'), 3);
  assert.deepEqual(counting.progress, [0, 1, 2]);

  let arrived;
  const event = new Promise((resolve) => (arrived = resolve));
  const handler = (args, kwargs, details) => arrived({ args, kwargs, topic: details.topic });
  const subscription = await within(bob.session.subscribe('com.example.public.', handler, { match: 'prefix' }), 'sub');
  await within(ada.session.publish('com.example.public.x', VALUES, { a: 1 }, { acknowledge: true }), 'publish');
  const { args, kwargs, topic } = await within(event, 'event');
  assert.deepEqual([args, kwargs, topic], [VALUES, { a: 1 }, 'com.example.public.x']);

  await within(bob.session.unsubscribe(subscription), 'unsubscribe');
  await within(ada.session.unregister(registration), 'unregister');
  await refused(bob.session.call('com.example.public.echo'), 'wamp.error.no_such_procedure', uriOf);
  await leave(bob);
  await leave(ada);
}

// Session ids do not fit 32 bits: CBOR and MsgPack of JavaScript write them as floats.
async function meta(serializer) {
  const admin = await join(INTEROP, 'interop', 'adm', "adm's secret", serializer);
  const ada = await join(INTEROP, 'interop', 'ada', "ada's secret", serializer);
  const call = (procedure, ...args) => within(admin.session.call(procedure, args), procedure);
  const ids = [admin.session.id, ada.session.id].sort((a, b) => a - b);
  assert.deepEqual(await call('wamp.session.list'), ids);
  const details = await call('wamp.session.get', ada.session.id);
  assert.deepEqual([details.session, details.authid, details.authrole], [ada.session.id, 'ada', 'tester']);
  const subscription = await within(ada.session.subscribe('com.example.meta', () => 0), 'subscribe');
  assert.deepEqual(await call('wamp.subscription.list_subscribers', subscription.id), [ada.session.id]);

  let arrived;
  const gone = new Promise((resolve) => (arrived = resolve));
  await within(admin.session.subscribe('wamp.session.on_leave', (args) => arrived(args)), 'on_leave');
  assert.equal(await call('wamp.session.kill', ada.session.id), null);
  assert.equal((await within(ada.left, 'kill')).reason, 'wamp.close.killed');
  assert.deepEqual(await within(gone, 'on_leave'), [details.session, 'ada', 'tester']);
  await leave(admin);
}

const serializer = process.argv[2] ?? 'json';
await scenario(serializer);
await everything(serializer);
await meta(serializer);
process.exit(0);
