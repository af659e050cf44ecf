// Opens the page of the example in Chromium and checks what it says: node page.mjs URL own|autobahn
//
// Speaks the DevTools protocol by itself, so that nothing but a Chromium is needed: $CHROMIUM, or `chromium` in the path.

import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { assert, within } from './check.mjs';

const PATIENCE = 60_000; // ms, for everything that the page does

const [url, library] = process.argv.slice(2);

// What is run in the page: resolves to its result and transcript when the result is there.
const WAIT = `new Promise((resolve) => {
  const result = document.getElementById('result');
  const look = () => {
    if (!/^(nothing|running)/.test(result.textContent)) {
      resolve({ result: result.textContent, transcript: document.getElementById('transcript').textContent });
    }
  };
  new MutationObserver(look).observe(result, { childList: true, characterData: true, subtree: true });
  look();
})`;

class Browser {
  #process;
  #profile;
  #socket;
  #last = 0;
  #answers = new Map();
  #loaded = [];
  // Exceptions that the page has not caught.
  exceptions = [];

  async start() {
    this.#profile = await mkdtemp(join(tmpdir(), 'wampd-chromium-'));
    const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-dev-shm-usage', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync', '--remote-debugging-port=0',
      `--user-data-dir=${this.#profile}`, 'about:blank'];
    this.#process = spawn(process.env.CHROMIUM ?? 'chromium', flags, { stdio: 'ignore' });
    const failed = new Promise((_, reject) => {
      this.#process.once('error', reject);
      this.#process.once('exit', (code) => reject(new Error(`chromium ended with ${code}`)));
    });
    failed.catch(() => {});
    const port = await within(Promise.race([this.#port(), failed]), 'start chromium', PATIENCE);
    const pages = await (await fetch(`http://127.0.0.1:${port}/json/list`)).json();
    this.#socket = new WebSocket(pages.find(({ type }) => type === 'page').webSocketDebuggerUrl);
    this.#socket.on('message', (data) => this.#receive(JSON.parse(data)));
    await within(new Promise((resolve, reject) => this.#socket.once('open', resolve).once('error', reject)), 'connect');
    await this.#ask('Runtime.enable');
    await this.#ask('Page.enable');
  }

  // The browser writes the port that it has chosen into its profile.
  async #port() {
    for (;;) {
      const text = await readFile(join(this.#profile, 'DevToolsActivePort'), 'utf8').catch(() => '');
      if (text.includes('\n')) {
        return Number(text.split('\n')[0]);
      }
      await sleep(20);
    }
  }

  #receive({ id, method, params, result, error }) {
    if (id) {
      const { resolve, reject } = this.#answers.get(id);
      this.#answers.delete(id);
      return error ? reject(new Error(error.message)) : resolve(result);
    }
    if (method === 'Runtime.exceptionThrown') {
      this.exceptions.push(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text);
    } else if (method === 'Page.loadEventFired') {
      this.#loaded.splice(0).forEach((resolve) => resolve());
    }
  }

  #ask(method, params = {}) {
    const id = ++this.#last;
    this.#socket.send(JSON.stringify({ id, method, params }));
    return within(new Promise((resolve, reject) => this.#answers.set(id, { resolve, reject })), method, PATIENCE);
  }

  async open(url) {
    const loaded = new Promise((resolve) => this.#loaded.push(resolve));
    const { errorText } = await this.#ask('Page.navigate', { url });
    assert.equal(errorText, undefined, `${url}: ${errorText}`);
    await within(loaded, `load ${url}`);
  }

  // The value of an expression in the page, once its promise is fulfilled.
  async evaluate(expression) {
    const options = { expression, awaitPromise: true, returnByValue: true };
    const { result, exceptionDetails } = await this.#ask('Runtime.evaluate', options);
    assert.equal(exceptionDetails, undefined, exceptionDetails?.text);
    return result.value;
  }

  async stop() {
    this.#socket?.close();
    if (this.#process?.pid && this.#process.exitCode === null) {
      const ended = new Promise((resolve) => this.#process.once('exit', resolve));
      this.#process.kill('SIGKILL');
      await ended;
    }
    // Helpers of the browser may still be writing for a moment.
    await rm(this.#profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
}

const browser = new Browser();
try {
  await browser.start();
  await browser.open(`${url}#run`);
  const { result, transcript } = await browser.evaluate(WAIT);
  assert.equal(result, `every line is as expected (${library})`, transcript);
  assert.equal(transcript.match(/^call result: 5$/gm)?.length, 4, transcript);
  assert.equal(transcript.match(/^Client session left: wamp\.error\.not_authorized: /gm)?.length, 2, transcript);

  // By hand, with what is in the form.
  const submitted = await browser.evaluate(`document.getElementById('login').requestSubmit(); ${WAIT}`);
  assert.equal(submitted.result, 'joined, called and left', submitted.transcript);
  assert.equal(submitted.transcript.match(/^call result: 5$/gm)?.length, 1, submitted.transcript);
  assert.deepEqual(browser.exceptions, []);
} finally {
  await browser.stop();
}
