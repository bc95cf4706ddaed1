#!/usr/bin/env python3
"""Compare two runs of davit_bench_startup, and say which differences are beyond noise.

    compare.py BEFORE.jsonl AFTER.jsonl [--all]

For each scenario, network, number of clients, contender and step: the Mann-Whitney U test on the
medians of the rounds (what is measured within a round is not independent, rounds nearly are), with
Holm's correction for that many tests, at 5 %. What is beyond noise within the two runs may still be
the machine's doing: the ratio of the floor between the runs is printed first.
"""
import argparse
import collections
import sys

import samples

Difference = collections.namedtuple("Difference", "key metric before after p beyond possible")


def compare(before, after):
    """All cells that both runs have; medians of the rounds' medians, in microseconds."""
    cells = []
    for key in before.samples:
        for metric in ("whole",) + samples.STEPS:
            old, new = before.round_medians(key, metric), after.round_medians(key, metric)
            if old and new:
                cells.append((key, metric, old, new))
    ps = [samples.mann_whitney(old, new) for _, _, old, new in cells]
    found = []
    for (key, metric, old, new), p, beyond in zip(cells, ps, samples.holm(ps)):
        possible = samples.smallest_p(len(old), len(new)) <= 0.05 / len(cells)
        found.append(Difference(key, metric, samples.median(old), samples.median(new), p, beyond,
                                possible))
    return found


def text_of(difference):
    key = difference.key
    verdict = "beyond noise" if difference.beyond else (
        "within noise" if difference.possible else "too few rounds to tell")
    return [f"{key.scenario} {key.network} {key.clients}{samples.circumstances(key)}", key.contender, difference.metric,
            f"{difference.before / 1e3:.2f}", f"{difference.after / 1e3:.2f}",
            f"{difference.after / difference.before:.2f}", f"{difference.p:.2g}", verdict]


def lines_of(before, after, show_all=False):
    differences = compare(before, after)
    if not differences:
        return ["nothing was measured in both runs"]
    lines = []
    floors = [d for d in differences if d.key.contender == "floor" and d.metric == "whole"]
    for floor in floors:
        lines.append(f"the machine itself: the floor with {floor.key.clients} client(s)"
                     f"{samples.circumstances(floor.key)} takes "
                     f"{floor.after / floor.before:.2f} times as long as before"
                     f"{', beyond noise' if floor.beyond else ''}")
    if not floors:
        lines.append("the machine itself: unknown, the floor is not in both runs")
    shown = [d for d in differences if show_all or d.beyond]
    rows = [["", "contender", "step", "before ms", "after ms", "ratio", "p", ""]]
    rows += [text_of(d) for d in shown]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    if shown:
        lines += ["  ".join(cell.ljust(width) if column < 3 else cell.rjust(width)
                            for column, (cell, width) in enumerate(zip(row, widths))).rstrip()
                  for row in rows]
    beyond = sum(d.beyond for d in differences)
    lines.append(f"{beyond} of {len(differences)} differences are beyond noise "
                 "(Mann-Whitney on the rounds' medians, Holm, 5 %)")
    hopeless = sum(not d.possible for d in differences)
    if hopeless:
        lines.append(f"{hopeless} have too few rounds for any difference to count: more --rounds, "
                     "or fewer cells")
    return lines


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before")
    parser.add_argument("after")
    parser.add_argument("--all", action="store_true", help="list differences within noise, too")
    options = parser.parse_args(arguments)
    for line in lines_of(samples.load(options.before), samples.load(options.after), options.all):
        print(line)


if __name__ == "__main__":
    main(sys.argv[1:])
