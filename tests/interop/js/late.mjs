// A session that tries once: node late.mjs autobahn|wampy URL REALM
//
// Joins without any reconnection, prints "joined" and ends.

import autobahn from 'autobahn';
import { Wampy } from 'wampy';
import { WebSocket } from 'ws';

globalThis.WebSocket ??= WebSocket;

const [library, url, realm] = process.argv.slice(2);

const joined = () => {
  console.log('joined');
  process.exit(0);
};

const failed = (why) => {
  console.log('not joined:', why);
  process.exit(1);
};

if (library === 'autobahn') {
  const connection = new autobahn.Connection({ url, realm, max_retries: 0 });
  connection.onopen = joined;
  connection.onclose = failed;
  connection.open();
} else {
  new Wampy(url, { realm, ws: WebSocket, autoReconnect: false, onClose: () => failed('closed') }).connect().then(joined, failed);
}
