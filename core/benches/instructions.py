#!/usr/bin/env python3
"""Counts the instructions that codec and routing spend on a message, and writes them to instructions.md.

    core/benches/instructions.py            # needs valgrind; some minutes
    core/benches/instructions.py --check 5  # fails if a figure is more than 5 % above the table

Counts do not depend on what else the machine does, so a change of a few percent is a change of the code. Each figure is the
difference between 2,000 and 1,000 messages, so that what happens once is left out. Messages are prepared, in the process
that is counted, by encoding them: that part is counted on its own and taken off.
"""
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
TABLE = HERE / "instructions.md"
WORK = ["decode CALL", "encode CALL", "CALL to RESULT", "PUBLISH to EVENT", "PUBLISH to 100"]
FORMATS = ["json", "cbor", "msgpack"]
LENGTHS = [16, 4096]
FEW, MANY = 1000, 2000


def build():
    command = ["cargo", "bench", "-q", "-p", "wampd-core", "--bench", "instructions", "--no-run", "--message-format=json"]
    output = subprocess.run(command, cwd=HERE, check=True, stdout=subprocess.PIPE, text=True).stdout
    return re.findall(r'"executable":"([^"]+)"', output)[-1]


def run(program, *arguments):
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program, *map(str, arguments)]
    result = subprocess.run(command, check=True, stderr=subprocess.PIPE, text=True)
    return int(re.search(r"Collected : (\d+)", result.stderr)[1])


def per_message(program, what, form, length):
    few, many = (run(program, what, form, length, count) for count in (FEW, MANY))
    return (many - few) / (MANY - FEW)


def count(program):
    figures = {}
    for form in FORMATS:
        for length in LENGTHS:
            prepare = {what: per_message(program, "prepare " + what, form, length) for what in ("CALL", "YIELD", "PUBLISH")}
            for what in WORK:
                figure = per_message(program, what, form, length)
                if what == "CALL to RESULT":
                    figure -= prepare["CALL"] + prepare["YIELD"]
                elif what.startswith("PUBLISH"):
                    figure -= prepare["PUBLISH"]
                elif what != "encode CALL":
                    figure -= prepare["CALL"]
                figures[form, length, what] = figure
    return figures


def count_among_others(program):
    """Small messages in JSON, alone and among 100,000 other registrations and subscriptions."""
    rows = []
    for what, prepared in (("CALL to RESULT", ("CALL", "YIELD")), ("PUBLISH to EVENT", ("PUBLISH",))):
        prepare = sum(per_message(program, "prepare " + message, "json", 16) for message in prepared)
        alone = per_message(program, what, "json", 16) - prepare
        rows.append((what, alone, per_message(program, what + " among others", "json", 16) - prepare))
    # A session that holds 10 more of each: what one more of each costs, from REGISTER and SUBSCRIBE to the end.
    each = [
        (run(program, what, "json", 20, 100) - run(program, what, "json", 10, 100)) / (10 * 100)
        for what in ("leave", "leave among others")
    ]
    rows.append(("one more registration and subscription, from its beginning to the end of its session", *each))
    return rows


def read():
    figures = {}
    for line in TABLE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 2 + len(WORK) and cells[1].isdigit():
            for what, figure in zip(WORK, cells[2:]):
                figures[cells[0], int(cells[1]), what] = float(figure.replace(",", ""))
    return figures


def write(figures, among):
    lines = [
        "# Instructions per message",
        "",
        "Written by `instructions.py`: instructions of the processor (callgrind) that codec and routing spend on one message.",
        "`CALL to RESULT` is the whole call, INVOCATION and YIELD included. `PUBLISH to 100` has 100 subscribers; the adapter's",
        "work for each of them is not in it.",
        "",
        "| serializer | payload, bytes | " + " | ".join(WORK) + " |",
        "| --- | ---: |" + " ---: |" * len(WORK),
    ]
    for form in FORMATS:
        for length in LENGTHS:
            cells = " | ".join(f"{figures[form, length, what]:,.0f}" for what in WORK)
            lines.append(f"| {form} | {length} | {cells} |")
    lines += [
        "",
        "Small messages in JSON, alone and among 100,000 other registrations and as many subscriptions (exact, prefix, wildcard):",
        "",
        "| what | alone | among others |",
        "| --- | ---: | ---: |",
    ]
    lines += [f"| {what} | {alone:,.0f} | {others:,.0f} |" for what, alone, others in among]
    TABLE.write_text("\n".join(lines) + "\n")


def main():
    program = build()
    figures = count(program)
    if sys.argv[1:2] == ["--check"]:
        tolerance = 1 + float(sys.argv[2]) / 100
        worse = [(key, before, figures[key]) for key, before in read().items() if figures[key] > before * tolerance]
        for key, before, now in worse:
            print(f"{key}: {before:,.0f} in the table, now {now:,.0f}")
        sys.exit(1 if worse else 0)
    write(figures, count_among_others(program))
    print(TABLE.read_text())


main()
