// A session that is left alone: node restart.mjs autobahn|wampy URL REALM
//
// Joins with the default reconnection of its library and prints "joined" each time, until it is killed.

import autobahn from 'autobahn';
import { Wampy } from 'wampy';
import { WebSocket } from 'ws';

globalThis.WebSocket ??= WebSocket;

const [library, url, realm] = process.argv.slice(2);

// A browser's page does not end when its connection does.
setInterval(() => {}, 1 << 30);

if (library === 'autobahn') {
  const connection = new autobahn.Connection({ url, realm });
  connection.onopen = () => console.log('joined');
  connection.open();
} else {
  const tell = () => console.log('joined');
  const peer = new Wampy(url, { realm, ws: WebSocket, onReconnectSuccess: tell });
  // Who calls connect() tries again until that has worked once.
  const connect = () => peer.connect().then(tell, () => setTimeout(connect, 500));
  connect();
}
