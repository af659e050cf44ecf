// The page: runs the scenario for what is in the form, or for everybody at #run.

import * as own from './wamp.js';
import * as withAutobahn from './with-autobahn.js';
import { differences, expected, run } from './scenario.js';

// At #run: who joins with which secret, and what must come of it.
const EVERYBODY = [
  { user: 'client1', secret: 'secret123', outcome: 'welcome' },
  { user: 'client1', secret: 'wrongpassword', outcome: 'refused' },
  { user: 'joe', secret: 'secret2', outcome: 'welcome' },
  { user: 'hans', secret: '123456', outcome: 'welcome', authid: 'ID09125' },
  { user: 'peter', secret: 'secret1', outcome: 'welcome' },
  { user: 'peter', secret: 'secret2', outcome: 'refused' },
  { user: 'nobody', secret: 'secret', outcome: 'unknown' },
];

const form = document.getElementById('login');
const { url, user, secret, library } = form.elements;
const result = document.getElementById('result');
const transcript = document.getElementById('transcript');

function say(line) {
  transcript.textContent += `${line}\n`;
}

function join(options) {
  return (library.value === 'autobahn' ? withAutobahn : own).join(options);
}

async function runOne() {
  const lines = [];
  await run(join, { url: url.value, user: user.value, secret: secret.value }, (line) => lines.push(line) && say(line));
  return lines;
}

async function runEverybody() {
  let wrong = 0;
  for (const { outcome, authid, ...who } of EVERYBODY) {
    const lines = [];
    say(`\n--- ${who.user} with the secret '${who.secret}'`);
    await run(join, { url: url.value, ...who }, (line) => lines.push(line) && say(line));
    wrong += differences(lines, expected(who.user, outcome, authid));
  }
  return wrong;
}

// One run at a time.
async function start(what) {
  form.inert = true;
  transcript.textContent = '';
  result.textContent = `running with ${library.value === 'autobahn' ? 'Autobahn|JS' : 'the client of this page'} ..`;
  try {
    result.textContent = await what();
  } catch (error) {
    result.textContent = `failed: ${error}`;
  }
  form.inert = false;
}

form.addEventListener('submit', (event) => {
  event.preventDefault();
  start(async () => {
    const lines = await runOne();
    return lines.includes('call result: 5') ? 'joined, called and left' : 'see below';
  });
});

function runIfAsked() {
  if (location.hash === '#run' && !form.inert) {
    const name = library.value;
    start(async () => {
      const wrong = await runEverybody();
      return wrong === 0 ? `every line is as expected (${name})` : `${wrong} lines are not as expected (${name})`;
    });
  }
}

url.value = `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws`;
if (await withAutobahn.load()) {
  library.append(new Option('Autobahn|JS', 'autobahn', true, true));
}
addEventListener('hashchange', runIfAsked);
runIfAsked();
