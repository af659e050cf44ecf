// The same `join` as in wamp.js, made of Autobahn|JS: used if there is an autobahn.min.js beside this file.

import { WampError } from './wamp.js';

// Resolves to whether Autobahn|JS is there.
export function load() {
  return new Promise((resolve) => {
    const script = document.createElement('script');
    script.src = 'autobahn.min.js';
    script.onload = () => resolve(Boolean(globalThis.autobahn));
    script.onerror = () => resolve(false);
    document.head.append(script);
  });
}

export function join({ url, realm, user, secret, onchallenge = () => {} }) {
  const { autobahn } = globalThis;
  const connection = new autobahn.Connection({
    url,
    realm,
    authmethods: ['wampcra'],
    authid: user,
    max_retries: 0,
    onchallenge: (_session, _method, { challenge, salt, iterations, keylen }) => {
      onchallenge(challenge);
      const key = salt ? autobahn.auth_cra.derive_key(secret, salt, iterations, keylen) : secret;
      return autobahn.auth_cra.sign(key, challenge);
    },
  });
  const left = Promise.withResolvers?.() ?? withResolvers();
  return new Promise((resolve, reject) => {
    connection.onopen = (session, details) => resolve(adapt(connection, session, details, left.promise));
    connection.onclose = (_reason, { reason, message }) => {
      reject(new WampError(reason, [message]));
      left.resolve(reason);
      return true; // do not connect again
    };
    connection.open();
  });
}

function withResolvers() {
  const made = {};
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made;
}

function adapt(connection, session, details, left) {
  const request = (promise) =>
    new Promise((resolve, reject) => promise.then(resolve, ({ error, args, kwargs }) => reject(new WampError(error, args, kwargs))));
  return {
    id: session.id,
    details,
    call: async (procedure, args) => ({ args: [await request(session.call(procedure, args))] }),
    register: (procedure, handler) => request(session.register(procedure, (args) => handler(...args))),
    publish: async (topic, args) => (await request(session.publish(topic, args, {}, { acknowledge: true }))).id,
    leave: () => {
      connection.close();
      return left;
    },
  };
}
