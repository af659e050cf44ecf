// What a client of the example does, and what must come of it, line by line.

// Joins with `join` (of wamp.js or with-autobahn.js) and tries everything; `say` gets each line.
export async function run(join, { url, user, secret }, say) {
  say(`Starting WAMP-CRA authentication on realm 'realm1' as user '${user}' ..`);
  let session;
  let challenged;
  try {
    const onchallenge = (challenge) => {
      challenged = JSON.parse(challenge).session;
      say(`WAMP-CRA challenge received: ${challenge}`);
    };
    session = await join({ url, realm: 'realm1', user, secret, onchallenge });
  } catch (error) {
    return say(`Client session left: ${describe(error)}`);
  }
  const { authid, authrole, authmethod, authprovider } = session.details;
  say(`Client session joined: authid=${authid}, authrole=${authrole}, authmethod=${authmethod}, authprovider=${authprovider}`);
  if (challenged !== session.id) {
    say('the challenge was for another session');
  }
  await attempt(say, 'call failed', async () => {
    const { args } = await session.call('com.example.add2', [2, 3]);
    return `call result: ${args[0]}`;
  });
  await attempt(say, 'registration failed', async () => {
    await session.register('com.example.mul2', (x, y) => x * y);
    return 'procedure com.example.mul2 was registered';
  });
  for (const topic of ['com.example.topic1', 'com.foobar.topic1', 'com.example.topic2', 'com.foobar.topic2']) {
    await attempt(say, `publication to topic ${topic} failed`, async () => {
      await session.publish(topic, ['hello']);
      return `ok, event published to topic ${topic}`;
    });
  }
  await attempt(say, 'leaving failed', async () => `Client session left: ${await session.leave()}`);
}

async function attempt(say, failed, action) {
  try {
    say(await action());
  } catch (error) {
    say(`${failed}: ${describe(error)}`);
  }
}

function describe(error) {
  return error.uri ? `${error.uri}: ${error.message}` : String(error);
}

// The lines that must come; * stands for anything.
export function expected(user, outcome, authid = user) {
  const start = `Starting WAMP-CRA authentication on realm 'realm1' as user '${user}' ..`;
  const challenge = `WAMP-CRA challenge received: {"authid": "${authid}", *"authprovider": "function", *}`;
  switch (outcome) {
    case 'unknown':
      return [start, `Client session left: com.example.no_such_user: could not authenticate session - no such user ${user}`];
    case 'refused':
      return [start, challenge, 'Client session left: wamp.error.not_authorized: WAMP-CRA client signature is invalid'];
    default:
      return [
        start,
        challenge,
        `Client session joined: authid=${authid}, authrole=frontend, authmethod=wampcra, authprovider=function`,
        'call result: 5',
        `registration failed: wamp.error.not_authorized: session (session_id=*, authid="${authid}", authrole="frontend") `
          + 'is not authorized to register procedure "com.example.mul2" on realm "realm1"',
        'ok, event published to topic com.example.topic1',
        'ok, event published to topic com.foobar.topic1',
        ...['com.example.topic2', 'com.foobar.topic2'].map(
          (topic) =>
            `publication to topic ${topic} failed: wamp.error.not_authorized: session not authorized to publish to topic '${topic}'`,
        ),
        'Client session left: wamp.close.normal',
      ];
  }
}

// How many lines are not as expected.
export function differences(lines, patterns) {
  let count = 0;
  for (let i = 0; i < Math.max(lines.length, patterns.length); i++) {
    count += i < lines.length && i < patterns.length && matches(lines[i], patterns[i]) ? 0 : 1;
  }
  return count;
}

function matches(line, pattern) {
  const parts = pattern.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`).test(line);
}
