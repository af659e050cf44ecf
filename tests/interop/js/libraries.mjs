// The same verbs over Autobahn|JS and wampy, for programs that do the same with both.

import autobahn from 'autobahn';
import { Wampy } from 'wampy';
import { CborSerializer } from 'wampy/CborSerializer.js';
import { JsonSerializer } from 'wampy/JsonSerializer.js';
import { MsgpackSerializer } from 'wampy/MsgpackSerializer.js';
import * as cra from 'wampy/wampcra.js';
import { WebSocket } from 'ws';
import { INTEROP, within } from './check.mjs';

// Autobahn|JS uses the WebSocket of the browser or of Node.js 22.
globalThis.WebSocket ??= WebSocket;

const { JSONSerializer, CBORSerializer, MsgpackSerializer: AutobahnMsgpack } = autobahn.serializer;
const SERIALIZERS = {
  autobahn: { json: JSONSerializer, cbor: CBORSerializer, msgpack: AutobahnMsgpack },
  wampy: { json: JsonSerializer, cbor: CborSerializer, msgpack: MsgpackSerializer },
};
const LIBRARIES = { autobahn: overAutobahn, wampy: overWampy };

// Joins the suite's realm: anonymous, or as `user` with WAMP-CRA. `lost` is told if the session ends before `leave`.
export function join(library, serializer, { user, secret, authextra, lost = () => {} } = {}) {
  const session = { left: false };
  const gone = (why) => session.left || lost(why);
  const made = new SERIALIZERS[library][serializer]();
  return within(LIBRARIES[library](session, made, { user, secret, authextra, gone }), `${library} joins`);
}

async function overAutobahn(session, serializer, { user, secret, authextra, gone }) {
  const connection = new autobahn.Connection({
    transports: [{ type: 'websocket', url: INTEROP, serializers: [serializer] }],
    realm: 'interop',
    max_retries: 0,
    authextra,
    ...(user && {
      authid: user,
      authmethods: ['wampcra'],
      onchallenge: (_session, _method, extra) => autobahn.auth_cra.sign(secret, extra.challenge),
    }),
  });
  const [joined, details] = await new Promise((resolve, reject) => {
    connection.onopen = (joined, details) => resolve([joined, details]);
    connection.onclose = (reason, details) => {
      reject(Object.assign(new Error(details.message), { error: details.reason }));
      gone(reason);
      return true;
    };
    connection.open();
  });
  const result = (result) => (result instanceof autobahn.Result ? result : { args: [result], kwargs: {} });
  return Object.assign(session, {
    details,
    subscribe: (topic, handler) => joined.subscribe(topic, (args, kwargs) => handler(args, kwargs), { match: 'prefix' }),
    publish: (topic, args) => joined.publish(topic, args, {}, { acknowledge: true }),
    // `progress(args)` tells of a part of the result.
    register: (procedure, answer) => joined.register(procedure, (args, _, { progress }) => answer(args, (part) => progress(part))),
    call: async (procedure, args, onProgress) => {
      const calling = joined.call(procedure, args, {}, { receive_progress: true });
      calling.then(undefined, undefined, (part) => onProgress?.(result(part).args));
      return result(await calling).args;
    },
    uriOf: (error) => error.error,
    leave: () => {
      session.left = true;
      connection.close();
    },
  });
}

async function overWampy(session, serializer, { user, secret, authextra, gone }) {
  const peer = new Wampy(INTEROP, {
    ws: WebSocket,
    serializer,
    realm: 'interop',
    autoReconnect: false,
    // Its own default is stricter than the router's.
    uriValidation: 'loose',
    authextra,
    ...(user && { authid: user, authmethods: ['wampcra'], onChallenge: cra.sign(secret) }),
    onClose: () => gone('closed'),
    onError: gone,
  });
  const details = await peer.connect();
  return Object.assign(session, {
    details,
    subscribe: (topic, handler) =>
      peer.subscribe(topic, ({ argsList, argsDict }) => handler(argsList, argsDict), { match: 'prefix' }),
    publish: (topic, args) => peer.publish(topic, { argsList: args }),
    register: (procedure, answer) =>
      peer.register(procedure, ({ argsList, result_handler }) => {
        const progress = (part) => result_handler({ argsList: part, options: { progress: true } });
        return { argsList: [answer(argsList, progress)] };
      }),
    call: async (procedure, args, onProgress) => {
      const progress_callback = ({ argsList }) => onProgress?.(argsList);
      return (await peer.call(procedure, { argsList: args }, { progress_callback })).argsList;
    },
    uriOf: (error) => error.errorUri ?? error.error,
    leave: () => {
      session.left = true;
      return peer.disconnect();
    },
  });
}
