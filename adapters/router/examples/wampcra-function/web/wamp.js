// A small WAMP client for browsers: WebSocket, JSON, WAMP-CRA, and no dependencies.
//
//   const session = await join({ url: 'ws://127.0.0.1:8080/ws', realm: 'realm1', user: 'client1', secret: 'secret123' });
//   const { args } = await session.call('com.example.add2', [2, 3]);
//   await session.leave();

const HELLO = 1, WELCOME = 2, ABORT = 3, CHALLENGE = 4, AUTHENTICATE = 5, GOODBYE = 6, ERROR = 8;
const PUBLISH = 16, PUBLISHED = 17, SUBSCRIBE = 32, SUBSCRIBED = 33, EVENT = 36;
const CALL = 48, RESULT = 50, REGISTER = 64, REGISTERED = 65, INVOCATION = 68, YIELD = 70;

const TIMEOUT = 10_000; // ms, for joining and for each answer
const MAX_ITERATIONS = 1_000_000; // of a key that a router may demand to be derived
const MAX_KEYLEN = 64;

const ROLES = { publisher: {}, subscriber: {}, caller: {}, callee: {} };

// An error of the router or of a callee, or the reason why there is no session any more.
export class WampError extends Error {
  constructor(uri, args = [], kwargs = {}) {
    super(typeof args[0] === 'string' ? args[0] : '');
    Object.assign(this, { name: 'WampError', uri, args, kwargs });
  }
}

// Connects and joins. `onchallenge` is told the text to be signed.
export async function join({ url, realm, user, secret, onchallenge = () => {} }) {
  const socket = new WebSocket(url, ['wamp.2.json']);
  const session = new Session(socket);
  await within(session.joined(realm, user, secret, onchallenge), () => socket.close());
  return session;
}

class Session {
  #socket;
  #answers = new Map(); // by type and request id: { resolve, reject }
  #handlers = new Map(); // by id of the subscription or registration
  #last = 0;
  #handshake;
  #goodbye;
  #end;

  constructor(socket) {
    this.#socket = socket;
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = ({ code }) => this.#ended(new WampError('wamp.error.transport_lost', [`the socket was closed (${code})`]));
  }

  // What WELCOME told.
  id;
  details;

  joined(realm, user, secret, onchallenge) {
    return new Promise((resolve, reject) => {
      this.#handshake = { secret, onchallenge, resolve, reject };
      this.#socket.onopen = () => this.#send([HELLO, realm, { roles: ROLES, authmethods: ['wampcra'], authid: user }]);
    });
  }

  async call(procedure, args = [], kwargs = {}) {
    const [, , , resultArgs = [], resultKwargs = {}] = await this.#ask(CALL, [{}, procedure, args, kwargs]);
    return { args: resultArgs, kwargs: resultKwargs };
  }

  // Resolves to the id of the publication, once the router has accepted it.
  async publish(topic, args = [], kwargs = {}) {
    return (await this.#ask(PUBLISH, [{ acknowledge: true }, topic, args, kwargs]))[2];
  }

  // `handler` gets the arguments of each event.
  async subscribe(topic, handler) {
    const [, , id] = await this.#ask(SUBSCRIBE, [{}, topic]);
    this.#handlers.set(id, handler);
    return id;
  }

  // `handler` gets the arguments of each call and returns the result, or a promise of it.
  async register(procedure, handler) {
    const [, , id] = await this.#ask(REGISTER, [{}, procedure]);
    this.#handlers.set(id, handler);
    return id;
  }

  // Says GOODBYE and resolves to the reason of the router's, once the socket is closed.
  leave(reason = 'wamp.close.normal') {
    if (this.#end) {
      return Promise.reject(this.#end);
    }
    this.#send([GOODBYE, {}, reason]);
    return within(new Promise((resolve, reject) => (this.#goodbye = { resolve, reject })), () => this.#socket.close());
  }

  #send(message) {
    this.#socket.send(JSON.stringify(message));
  }

  #ask(type, rest) {
    if (this.#end) {
      return Promise.reject(this.#end);
    }
    const request = ++this.#last;
    const key = `${type} ${request}`;
    const answer = new Promise((resolve, reject) => this.#answers.set(key, { resolve, reject }));
    this.#send([type, request, ...rest]);
    return within(answer, () => this.#answers.delete(key));
  }

  #receive(text) {
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      return this.#breakOff('wamp.error.protocol_violation', 'this is not JSON');
    }
    switch (message[0]) {
      case CHALLENGE: return void this.#challenged(message[1], message[2] ?? {});
      case WELCOME: {
        [, this.id, this.details] = message;
        return this.#handshake.resolve();
      }
      case ABORT: return this.#ended(new WampError(message[2], [message[1]?.message ?? 'None']));
      case GOODBYE: {
        if (this.#goodbye) {
          this.#goodbye.reason = message[2];
        } else {
          this.#send([GOODBYE, {}, 'wamp.close.goodbye_and_out']);
        }
        return this.#ended(new WampError(message[2]));
      }
      case ERROR: return this.#answer(message[1], message[2], ({ reject }) => reject(new WampError(...message.slice(4))));
      case PUBLISHED: return this.#answer(PUBLISH, message[1], ({ resolve }) => resolve(message));
      case SUBSCRIBED: return this.#answer(SUBSCRIBE, message[1], ({ resolve }) => resolve(message));
      case REGISTERED: return this.#answer(REGISTER, message[1], ({ resolve }) => resolve(message));
      case RESULT: return this.#answer(CALL, message[1], ({ resolve }) => resolve(message));
      case EVENT: return this.#handlers.get(message[1])?.(...(message[4] ?? []));
      case INVOCATION: return void this.#invoked(message);
      default: return this.#breakOff('wamp.error.protocol_violation', `unexpected message ${message[0]}`);
    }
  }

  // An answer that nobody waits for any more comes too late, and is no harm.
  #answer(type, request, settle) {
    const waiting = this.#answers.get(`${type} ${request}`);
    this.#answers.delete(`${type} ${request}`);
    if (waiting) {
      settle(waiting);
    }
  }

  async #challenged(method, extra) {
    try {
      if (method !== 'wampcra') {
        throw new Error(`the router demands ${method}`);
      }
      this.#handshake.onchallenge(extra.challenge);
      this.#send([AUTHENTICATE, await sign(this.#handshake.secret, extra), {}]);
    } catch (error) {
      this.#breakOff('wamp.error.authentication_failed', error.message);
    }
  }

  async #invoked([, request, registration, , args = []]) {
    try {
      this.#send([YIELD, request, {}, [await this.#handlers.get(registration)(...args)]]);
    } catch (error) {
      const { uri = 'wamp.error.runtime_error', message } = error;
      this.#send([ERROR, INVOCATION, request, {}, uri, [message]]);
    }
  }

  #breakOff(uri, message) {
    if (!this.#end) {
      this.#send([ABORT, { message }, uri]);
      this.#ended(new WampError(uri, [message]));
    }
  }

  // The session is over: nothing is answered any more. The first reason counts.
  #ended(why) {
    this.#end ??= why;
    this.#handshake.reject(this.#end);
    for (const { reject } of this.#answers.values()) {
      reject(this.#end);
    }
    this.#answers.clear();
    if (this.#socket.readyState === WebSocket.CLOSED) {
      if (this.#goodbye?.reason) {
        this.#goodbye.resolve(this.#goodbye.reason);
      }
      this.#goodbye?.reject(this.#end);
    } else {
      this.#socket.close();
    }
  }
}

function within(promise, giveUp) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      giveUp();
      reject(new WampError('wamp.error.timeout', [`no answer within ${TIMEOUT / 1000} s`]));
    }, TIMEOUT);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

// The signature of WAMP-CRA: HMAC-SHA256 over the challenge as it is, in base64.
export async function sign(secret, { challenge, salt, iterations = 1000, keylen = 32 }) {
  if (!globalThis.crypto?.subtle) {
    throw new Error('this browser has cryptography only for https, localhost and 127.0.0.1');
  }
  let key = utf8(secret);
  if (salt) {
    if (iterations > MAX_ITERATIONS || keylen > MAX_KEYLEN) {
      throw new Error('the router demands a key that takes too long to be derived');
    }
    const password = await crypto.subtle.importKey('raw', key, 'PBKDF2', false, ['deriveBits']);
    const derivation = { name: 'PBKDF2', hash: 'SHA-256', salt: utf8(salt), iterations };
    // The key is the base64 text, not the bytes behind it.
    key = utf8(base64(await crypto.subtle.deriveBits(derivation, password, keylen * 8)));
  }
  const hmac = await crypto.subtle.importKey('raw', key, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
  return base64(await crypto.subtle.sign('HMAC', hmac, utf8(challenge)));
}

function utf8(text) {
  return new TextEncoder().encode(text);
}

function base64(buffer) {
  return btoa(String.fromCharCode(...new Uint8Array(buffer)));
}
