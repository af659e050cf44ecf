const users = {
    anna: { secret: "anna's word", role: "visitor" },
    // derive_key("bert's word", "sodium chloride", 200, 32)
    bert: { secret: "9M24ZmW5ZdOer7ekq0xxddeJtQ06yQOqfh2Hd6x+5QQ=", role: "visitor", salt: "sodium chloride", iterations: 200, keylen: 32 },
};

require("./member.js")("door.open", ([realm, authid, details]) => {
    console.log(`${authid} comes to ${realm} by ${details.authmethod}`);
    if (!(authid in users)) throw "no such user";
    return users[authid];
});
