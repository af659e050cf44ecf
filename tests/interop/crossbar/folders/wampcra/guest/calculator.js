require("./member.js")("calc.add", ([x, y]) => x + y);
