// Joins with the URL, realm, authid and secret of the command line, and registers a procedure.

// Autobahn|JS uses the WebSocket of Node.js 22.
globalThis.WebSocket ??= require("ws");

const autobahn = require("autobahn");

module.exports = function (uri, procedure) {
    const [url, realm, authid, secret] = process.argv.slice(2);
    const connection = new autobahn.Connection({
        url,
        realm,
        authid,
        authmethods: ["wampcra"],
        onchallenge: (session, method, extra) => autobahn.auth_cra.sign(secret, extra.challenge),
    });
    connection.onopen = async (session) => {
        await session.register(uri, procedure);
        console.log(`${authid} is ready`);
    };
    connection.open();
};
