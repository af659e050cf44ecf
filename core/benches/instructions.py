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
WORK = ["decode CALL", "encode CALL", "CALL to INVOCATION", "YIELD to RESULT", "PUBLISH to EVENT", "PUBLISH to 100"]
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
                if what == "YIELD to RESULT":
                    figure -= prepare["CALL"] + prepare["YIELD"] + figures[form, length, "CALL to INVOCATION"]
                elif what.startswith("PUBLISH"):
                    figure -= prepare["PUBLISH"]
                elif what != "encode CALL":
                    figure -= prepare["CALL"]
                figures[form, length, what] = figure
    return figures


def read():
    figures = {}
    for line in TABLE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 2 + len(WORK) and cells[1].isdigit():
            for what, figure in zip(WORK, cells[2:]):
                figures[cells[0], int(cells[1]), what] = float(figure.replace(",", ""))
    return figures


def write(figures):
    lines = [
        "# Instructions per message",
        "",
        "Written by `instructions.py`: instructions of the processor (callgrind) that codec and routing spend on one message.",
        "A call is the sum of `CALL to INVOCATION` and `YIELD to RESULT`. `PUBLISH to 100` has 100 subscribers; the adapter's",
        "work for each of them is not in it.",
        "",
        "| serializer | payload, bytes | " + " | ".join(WORK) + " |",
        "| --- | ---: |" + " ---: |" * len(WORK),
    ]
    for form in FORMATS:
        for length in LENGTHS:
            cells = " | ".join(f"{figures[form, length, what]:,.0f}" for what in WORK)
            lines.append(f"| {form} | {length} | {cells} |")
    TABLE.write_text("\n".join(lines) + "\n")


def main():
    figures = count(build())
    if sys.argv[1:2] == ["--check"]:
        tolerance = 1 + float(sys.argv[2]) / 100
        worse = [(key, before, figures[key]) for key, before in read().items() if figures[key] > before * tolerance]
        for key, before, now in worse:
            print(f"{key}: {before:,.0f} in the table, now {now:,.0f}")
        sys.exit(1 if worse else 0)
    write(figures)
    print(TABLE.read_text())


main()
