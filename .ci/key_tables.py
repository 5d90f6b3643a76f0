#!/usr/bin/env python3
"""Holds the tables of docs/keys.md against what .ci/keys.sh saw, cell by cell.

    key_tables.py DOCUMENT SEEN... [--write]

A line of SEEN is: table, registry, reader, verdict and the row's one or two labels, parted by tabs. In DOCUMENT a table stands
below a line `<!-- .ci/keys.sh: TABLE -->`; its first columns are the labels, each of the others is a reader. Where a table has
two labels, each may be a list: `P-256, P-384`. Both registries must have shown the same.

--write puts the tables there anew. The last line is `N passed, M failed`; a cell of one side only has failed.
"""

import re
import sys

# What a program that accepts the right key may say of a stranger's.
REFUSALS = ("invalid", "not found")
# Where every cell of a table was seen: at both, or, for files, at none.
REGISTRIES = ({("docker-registry", "olareg")}, {("-",)})


def read_seen(paths):
    """Table -> (labels, reader) -> {registry: verdict}; and the controls, as (name, verdict)."""
    tables, controls = {}, []
    for path in paths:
        for line in open(path, encoding="utf-8"):
            table, registry, reader, verdict, *labels = line.rstrip("\n").split("\t")
            if table == "control":
                controls.append((f"{registry}, {', '.join(labels)}: {reader} refuses a stranger's key", verdict))
            else:
                tables.setdefault(table, {}).setdefault((tuple(labels), reader), {})[registry] = verdict
    return tables, controls


def unique(items):
    return list(dict.fromkeys(items))


def grouped(rows):
    """Rows of two labels: those first labels with the same verdicts share rows, and in them the second ones likewise."""
    blocks = {}
    for first in unique(first for first, _ in rows):
        block = {second: verdicts for (one, second), verdicts in rows.items() if one == first}
        blocks.setdefault(tuple(block.items()), []).append(first)
    for block, firsts in blocks.items():
        for verdicts in unique(verdicts for _, verdicts in block):
            yield ", ".join(firsts), ", ".join(second for second, found in block if found == verdicts), *verdicts


def written(cells, header):
    """The lines of a table. Its first line is kept, but for the readers."""
    count = len(next(iter(cells))[0])
    readers = unique(reader for _, reader in cells)
    rows = {}
    for labels in unique(labels for labels, _ in cells):
        found = (cells.get((labels, reader), {}) for reader in readers)
        rows[labels] = tuple(" / ".join(unique(verdicts.values())) for verdicts in found)
    rows = grouped(rows) if count == 2 else ((*labels, *verdicts) for labels, verdicts in rows.items())
    header = [*header[:count], *readers]
    return ["| " + " | ".join(row) + " |" for row in (header, *rows)], len(header)


def cells_of(line):
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def documented(lines, count):
    """(labels, reader) -> verdict, of a table's lines."""
    header, _, *rows = map(cells_of, lines)
    found = {}
    for row in rows:
        lists = [cell.split(", ") for cell in row[:2]] if count == 2 else [[row[0]]]
        for labels in [(first, *rest) for first in lists[0] for rest in ([(second,) for second in lists[1]] if count == 2 else [()])]:
            for reader, verdict in zip(header[count:], row[count:], strict=True):
                if (labels, reader) in found:
                    sys.exit(f"{labels}, {reader}: stands there twice")
                found[labels, reader] = verdict
    return found


def main():
    document, *seen = [word for word in sys.argv[1:] if word != "--write"]
    tables, controls = read_seen(seen)
    text = open(document, encoding="utf-8").read()
    wrong, passed = [], 0

    def check(name, found, expected):
        nonlocal passed
        if found in expected:
            passed += 1
        else:
            wrong.append(f"FAILED {name}: {found}; expected {' or '.join(expected)}")

    for table, cells in tables.items():
        mark = f"<!-- .ci/keys.sh: {table} -->\n"
        match = re.search(re.escape(mark) + r"((?:\|.*\n)+)", text)
        if not match:
            sys.exit(f"{document} has no table below {mark}")
        lines, count = match[1].splitlines(), len(next(iter(cells))[0])
        if "--write" in sys.argv:
            lines, columns = written(cells, cells_of(lines[0]))
            lines.insert(1, "|" + "---|" * columns)
            text = text.replace(match[0], mark + "\n".join(lines) + "\n")
        expected = documented(lines, count)
        for (labels, reader), verdicts in cells.items():
            for registry, verdict in verdicts.items():
                check(f"{table}, {', '.join(labels)}, {reader}, {registry}", verdict, [expected.get((labels, reader), "no such cell")])
        for labels, reader in sorted(expected.keys() - cells.keys()):
            wrong.append(f"FAILED {table}, {', '.join(labels)}, {reader}: in {document}, but was not seen")
        if {tuple(verdicts) for verdicts in cells.values()} not in REGISTRIES:
            wrong.append(f"FAILED {table}: not all was seen at both registries")
        print(f"{table}: {sum(map(len, cells.values()))} verdicts")
    for name, verdict in controls:
        check(name, verdict, REFUSALS)
    print(f"controls: {len(controls)}")
    if "--write" in sys.argv:
        open(document, "w", encoding="utf-8").write(text)
    if wrong:
        print(*wrong, sep="\n")
    print(f"\n{passed} passed, {len(wrong)} failed")
    sys.exit(bool(wrong) or not passed)


main()
