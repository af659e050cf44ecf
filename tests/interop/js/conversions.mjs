// Autobahn|JS and wampy, with each of their serializers, get what Python programs say (python/odd_values.py) converted, and
// each other's dates: node conversions.mjs

import autobahn from 'autobahn';
import { Wampy } from 'wampy';
import { CborSerializer } from 'wampy/CborSerializer.js';
import { JsonSerializer } from 'wampy/JsonSerializer.js';
import { MsgpackSerializer } from 'wampy/MsgpackSerializer.js';
import * as cra from 'wampy/wampcra.js';
import { WebSocket } from 'ws';
import { assert, INTEROP, within } from './check.mjs';

globalThis.WebSocket ??= WebSocket;

const TOPIC = 'com.example.public.odd';
const TIME = '2014-05-13T16:53:20.123Z';
const USER = 'ada';
const SECRET = "ada's secret";

const AUTOBAHN = {
  json: () => new autobahn.serializer.JSONSerializer(),
  cbor: () => new autobahn.serializer.CBORSerializer(),
  msgpack: () => new autobahn.serializer.MsgpackSerializer(),
};
const WAMPY = { json: JsonSerializer, cbor: CborSerializer, msgpack: MsgpackSerializer };

// Both libraries as functions that subscribe and publish.
function joinAutobahn(serializer) {
  const connection = new autobahn.Connection({
    transports: [{ type: 'websocket', url: INTEROP, serializers: [AUTOBAHN[serializer]()] }],
    realm: 'interop',
    authmethods: ['wampcra'],
    authid: USER,
    max_retries: 0,
    onchallenge: (_session, _method, { challenge }) => autobahn.auth_cra.sign(SECRET, challenge),
  });
  return new Promise((resolve, reject) => {
    connection.onopen = (session) =>
      resolve({
        subscribe: (handler) => session.subscribe(TOPIC, (args) => handler(...args)),
        publish: (...args) => session.publish(TOPIC, args, {}, { acknowledge: true }),
      });
    connection.onclose = (reason, details) => {
      reject(new Error(`${reason}: ${details.reason}`));
      return true;
    };
    connection.open();
  });
}

async function joinWampy(serializer) {
  const peer = new Wampy(INTEROP, {
    ws: WebSocket,
    serializer: new WAMPY[serializer](),
    realm: 'interop',
    authid: USER,
    authmethods: ['wampcra'],
    onChallenge: cra.sign(SECRET),
    autoReconnect: false,
  });
  await peer.connect();
  return {
    subscribe: (handler) => peer.subscribe(TOPIC, ({ argsList }) => handler(...argsList)),
    publish: (...args) => peer.publish(TOPIC, args),
  };
}

// A value as its JSON, whatever the library and the serializer made of it.
function plain(value) {
  if (value instanceof Map) {
    value = Object.fromEntries(value);
  }
  if (value instanceof Date) {
    return value.toISOString();
  }
  if (Array.isArray(value)) {
    return value.map(plain);
  }
  if (value !== null && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
  }
  return typeof value === 'bigint' ? Number(value) : value;
}

function verify(name, value, what) {
  const KEYS = { 1: 'a', '-2': { 3: 'b' }, null: 'd', 1.5: 'e', false: 'f' };
  const number = typeof value === 'string' ? Number(value) : plain(value);
  switch (name) {
    case 'keys':
      return assert.deepEqual(plain(value), KEYS, what);
    case 'time':
      return assert.equal(plain(new Date(value)), TIME, what);
    case 'big':
      return assert.equal(number, 2 ** 70, what);
    case 'small':
      return assert.equal(number, -(2 ** 64), what);
    case 'nan':
      return assert.ok(value[0] === null ? value[1] === null : Number.isNaN(value[0]) && value[1] === Infinity, what);
    case 'simple':
      return assert.equal(value, null, what);
    default:
      assert.fail(`${what} arrives`);
  }
}

const ends = [];
const peers = [];
for (const [library, join] of [['Autobahn|JS', joinAutobahn], ['wampy', joinWampy]]) {
  for (const serializer of Object.keys(WAMPY)) {
    const peer = await within(join(serializer), `join ${library}, ${serializer}`);
    const seen = new Map();
    let left = 3;
    let settle;
    ends.push(new Promise((resolve, reject) => (settle = { resolve, reject })));
    const handler = (name, value) => {
      try {
        if (name !== 'end') {
          verify(name, value, `${name} to ${library}, ${serializer}`);
          seen.set(name, (seen.get(name) ?? 0) + 1);
        } else if ((left -= 1) === 0) {
          // From Python by CBOR and MsgPack, or JSON, and from each of the others here.
          assert.deepEqual(Object.fromEntries(seen), { keys: 2, time: 2 + 5, big: 2, small: 2, nan: 2, simple: 1 });
          settle.resolve();
        }
      } catch (error) {
        settle.reject(error);
      }
    };
    await within(peer.subscribe(handler), 'subscribe');
    peers.push(peer);
  }
}
for (const peer of peers) {
  await within(peer.publish('time', new Date(TIME)), 'publish');
}
console.log('ready');
await within(Promise.all(ends), 'the events');
process.exit(0);
