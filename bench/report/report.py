#!/usr/bin/env python3
"""Make one self-contained HTML page of a run of davit_bench_startup.

    report.py RUN.jsonl OUT.html [--against BEFORE.jsonl]

No script and nothing from elsewhere is in the page: it can be mailed, and looked at offline.
"""
import argparse
import collections
import html
import pathlib
import sys

import compare
import plot
import samples

NETWORK_TEXT = {"none": "no network", "host": "the host's network", "bridge": "a bridge",
                "port": "a bridge and one published port",
                "ports": "a bridge and 100 published ports"}
SCENARIO_TEXT = {"run": "run --rm: from nothing to gone", "steps": "The same in single steps",
                 "exec": "exec in a running container"}


def kind_of(contender):
    """CSS classes: the family gives the colour, API or command line the dashes."""
    if "davit" in contender:
        family = "davit"
    elif contender.startswith("docker"):
        family = "docker"
    elif contender.startswith("podman"):
        family = "podman"
    elif contender in ("crun", "runc"):
        family = "runtime"
    elif contender == "ctr":
        family = "ctr"
    elif contender.startswith("floor"):
        family = "floor"
    else:
        family = "other"
    dashes = {"davit CLI": " dashed", "docker CLI to davit": " dotted", "runc": " dashed",
              "docker CLI to dockerd": " dashed", "podman + runc": " dashed",
              "floor, bare": " dashed"}
    return family + dashes.get(contender, "")


def escaped(value):
    return html.escape(str(value))


def table(heads, rows, text_columns=(0,), long_columns=()):
    """Numbers stand at the right; text at the left, on one line unless it is long."""
    kinds = {column: " class=text" for column in text_columns}
    kinds.update({column: ' class="text long"' for column in long_columns})
    body = ""
    for tag, row in [("th", heads)] + [("td", row) for row in rows]:
        body += "<tr>" + "".join(f"<{tag}{kinds.get(column, '')}>{escaped(cell)}</{tag}>"
                                 for column, cell in enumerate(row)) + "</tr>"
    return f'<div class="wide"><table>{body}</table></div>'


def about(run):
    parts = [f"{run.about.get('date', 'date unknown')}, Linux {run.about.get('kernel', '?')}, "
             f"{run.about.get('cpus', '?'):g} processors; {run.about.get('rounds', '?'):g} rounds, "
             f"turns of about {run.about.get('turn_s', '?'):g} s"] if run.about else []
    versions = [text for key, text in sorted(run.about.items()) if key.startswith("version ")]
    return ("".join(f'<p class="soft">{escaped(part)}</p>' for part in parts) +
            f'<p class="soft">{escaped("; ".join(versions))}</p>')


def works(run):
    """(scenario, network) pairs in the order of the run, with their numbers of clients."""
    found = collections.OrderedDict()
    for key in run.plain():
        clients = found.setdefault((key.scenario, key.network), [])
        if key.clients not in clients:
            clients.append(key.clients)
    return {pair: sorted(clients) for pair, clients in found.items()}


def contenders(run, scenario, network, clients):
    return [key for key in run.plain()
            if (key.scenario, key.network, key.clients) == (scenario, network, clients)]


def latencies(run):
    parts = ["<h2>Latency</h2><p class=soft>Each mark is one container (at most 200 are drawn), the "
             "dot is the median, the bar goes from the 5th to the 95th percentile. Of one client "
             "each; more clients are in the table.</p>"]
    for (scenario, network), clients in works(run).items():
        rows = [(key.contender, kind_of(key.contender),
                 [value / 1e3 for value in run.values(key)])
                for key in contenders(run, scenario, network, clients[0])]
        rows.sort(key=lambda row: samples.median(row[2]))
        title = f"{SCENARIO_TEXT[scenario]}; {NETWORK_TEXT[network]}; {clients[0]} client(s)"
        parts.append(f"<h3>{escaped(title)}</h3>")
        parts.append(plot.distributions(rows, "milliseconds", title))
    return "".join(parts)


def rates(run):
    plain = set(run.plain())
    found = {key: rate for key, rate in run.rates().items() if key in plain}
    parts = []
    for (scenario, network), clients in works(run).items():
        if len(clients) < 2:
            continue
        points = collections.OrderedDict()
        for key in sorted(found):
            if (key.scenario, key.network) == (scenario, network):
                points.setdefault(key.contender, []).append((key.clients, found[key]))
        title = f"{SCENARIO_TEXT[scenario]}; {NETWORK_TEXT[network]}"
        parts.append(f"<h3>{escaped(title)}</h3>")
        parts.append(plot.curves([(name, kind_of(name), sorted(xy)) for name, xy in points.items()],
                                 "clients at once", "per second", title))
    if not parts:
        return ""
    return ("<h2>Rate against parallelism</h2><p class=soft>Finished per second of wall time; both "
            "axes logarithmic.</p>" + "".join(parts))


def phases(run):
    """Medians of what davit itself tells of its starts with one client."""
    by_network, plain = collections.OrderedDict(), set(run.plain())
    for line in run.kinds["phase"]:
        if line["clients"] == 1 and samples.key_of(line) in plain:
            names = by_network.setdefault(line["network"], collections.OrderedDict())
            names.setdefault(line["phase"], []).append((line["start_us"], line["duration_us"]))
    parts = []
    for network, names in by_network.items():
        rows = [(name, samples.median([start for start, _ in both]),
                 samples.median([duration for _, duration in both]))
                for name, both in names.items()]
        rows.sort(key=lambda row: row[1])
        parts.append(f"<h3>{escaped(NETWORK_TEXT[network])}</h3>")
        parts.append(plot.gantt(rows, "µs", f"phases of a start, {network}"))
    if not parts:
        return ""
    return ("<h2>Phases of a start of davit</h2><p class=soft>Medians of each phase's begin and "
            "duration, in microseconds, as davit tells them in the container's inspect.</p>" +
            "".join(parts))


def memory(run):
    shares, plain = collections.defaultdict(dict), set(run.plain())
    for turn in run.kinds["turn"]:
        if turn.get("share_kib") and samples.key_of(turn) in plain:
            at = shares[turn["contender"]]
            clients = int(turn["clients"])
            at[clients] = max(at.get(clients, 0), turn["share_kib"] / 1024)
    if not shares:
        return ""
    series = [(name.replace(" API", ""), kind_of(name), sorted(points.items()))
              for name, points in shares.items()]
    parts = ["<h2>Memory of the daemons</h2><p class=soft>Pss, MiB, of the daemon and what it keeps "
             "running for containers, containers excluded: the most that any turn left. What has no "
             "daemon is not here.</p>"]
    if max(len(points) for _, _, points in series) > 1:
        parts.append(plot.curves(series, "clients at once", "MiB", "memory of the daemons"))
    else:
        parts.append(table(["daemon", "MiB"],
                           [[name, plot.number(points[0][1])] for name, _, points in series]))
    return "".join(parts)


def running_curves(run, keys, counts, title):
    """p50 against the number of containers that already run; 0 stands left of the rest."""
    least = min(count for count in counts if count)
    at = {count: count or least / 10 for count in counts}
    series = collections.OrderedDict()
    for key in sorted(keys):
        series.setdefault(key.contender, []).append(
            (at[key.running], samples.median(run.values(key)) / 1e3))
    words = {x: str(count) for count, x in at.items()}
    return plot.curves([(name, kind_of(name), points) for name, points in series.items()],
                       "containers that run already", "ms, p50", title, words)


def running(run):
    """The same work with more and more containers that already run."""
    counts = sorted({key.running for key in run.samples})
    calm = [key for key in run.samples if key.adversity == "none"]
    if len(counts) < 2:
        return ""
    found, parts = run.rates(), []
    for (scenario, network), all_clients in works(run).items():
        for clients in all_clients:
            keys = [key for key in calm
                    if (key.scenario, key.network, key.clients) == (scenario, network, clients)]
            title = f"{SCENARIO_TEXT[scenario]}; {NETWORK_TEXT[network]}; {clients} client(s)"
            rows = []
            for name in dict.fromkeys(key.contender for key in keys):
                row = [name]
                by_count = {key.running: key for key in keys if key.contender == name}
                for count in counts:
                    key = by_count.get(count)
                    row.append(plot.number(samples.median(run.values(key)) / 1e3) if key else "")
                    row.append(plot.number(found[key]) if key in found else "")
                rows.append(row)
            heads = ["contender"]
            for count in counts:
                heads += [f"{count}: p50", "per s"]
            parts.append(f"<h3>{escaped(title)}</h3>" + running_curves(run, keys, counts, title) +
                         table(heads, rows))
    memory_rows = [[line["engine"], f"{line['running']:g}", plot.number(line["share_each_kib"]),
                    plot.number(line["seconds"])]
                   for line in run.kinds["filled"] if "share_each_kib" in line]
    if memory_rows:
        parts.append("<h3>Memory of the engine for each</h3>" +
                     table(["engine", "containers", "KiB each", "seconds to start them"],
                           memory_rows))
    return ("<h2>With containers already running</h2><p class=soft>Each engine has that many "
            "sleeping containers of its own meanwhile, without a network; the floor has none. "
            "Medians in milliseconds, and finished per second.</p>" + "".join(parts))


ADVERSITY_TEXT = {
    "pull": "the engine pulls an image", "prune": "the engine prunes",
    "removes": "the engine removes other containers", "dirty": "much is written and not on disk",
    "xtables": "somebody holds iptables' lock", "cpu": "all processors compute"}


def adversities(run):
    """For each work: how many times the median without adversity it is with each."""
    names = list(dict.fromkeys(key.adversity for key in run.samples if key.adversity != "none"))
    if not names:
        return ""
    parts = ["<h2>Adversities</h2><p class=soft>Each beside the work, in a turn right after one "
             "without: how many times the median of that it is. Empty: not measured.</p>"]
    about_rows = [[name, ADVERSITY_TEXT.get(name, ""), line["about"]]
                  for line in run.kinds["adversity"] for name in [line["adversity"]]]
    parts.append(table(["", "what", "here"], about_rows, (0, 1), (2,)))
    cells = collections.OrderedDict()
    for key in run.samples:
        work = (key.scenario, key.network, key.clients, key.running)
        cells.setdefault(work, collections.OrderedDict()).setdefault(key.contender, {})[
            key.adversity] = samples.median(run.values(key)) / 1e3
    for (scenario, network, clients, count), by_contender in cells.items():
        rows = []
        for name, found in by_contender.items():
            if "none" in found and len(found) > 1:
                rows.append([name, plot.number(found["none"])] +
                            [plot.number(found[other] / found["none"]) if other in found else ""
                             for other in names])
        if rows:
            with_running = f"; {count} containers running" if count else ""
            title = (f"{SCENARIO_TEXT[scenario]}; {NETWORK_TEXT[network]}; {clients} client(s)"
                     f"{with_running}")
            parts.append(f"<h3>{escaped(title)}</h3>" +
                         table(["contender", "none, ms"] + names, rows))
    return "".join(parts)


def numbers(run):
    rates_found, cpu = run.rates(), run.cpu_ms()
    stalls = run.worst("loop_longest_us")
    rows = []
    for key in run.samples:
        values = [value / 1e3 for value in run.values(key)]
        row = [f"{key.scenario}, {key.network}{samples.circumstances(key)}", key.clients, key.contender, len(values)]
        row += [plot.number(samples.percentile(values, part)) for part in (0.5, 0.95, 0.99, 1)]
        row.append(plot.number(rates_found[key]) if key in rates_found else "")
        row.append(plot.number(cpu[key]) if key in cpu else "")
        row.append(plot.number(stalls[key] / 1e3) if key in stalls else "")
        for step in samples.STEPS:
            steps = run.values(key, step)
            row.append(plot.number(samples.median(steps) / 1e3) if steps else "")
        rows.append(row)
    rows.sort(key=lambda row: (row[0], row[1]))
    heads = ["work", "clients", "contender", "n", "p50", "p95", "p99", "max", "per s", "CPU each",
             "loop's longest"] + [step + " p50" for step in samples.STEPS]
    return ("<h2>All numbers</h2><p class=soft>Milliseconds. CPU: of the engine, its commands and "
            "the container. Loop's longest: the longest turn of davit's loop.</p>" +
            table(heads, rows, (0, 2)))


def troubles(run):
    rows = [[line["contender"], line.get("adversity", "everything"), line["reason"]]
            for line in run.kinds["absent"]]
    rows += [list(row) for row in dict.fromkeys(
        (line["contender"], line["adversity"], line["reason"]) for line in run.kinds["unfit"])]
    rows += [[line["engine"], f"{line['running']:g} running", line["reason"]]
             for line in run.kinds["unfilled"]]
    rows += [[line["contender"],
              f"{line['scenario']}, {line['network']}, {line['clients']:g} client(s)"
              f"{samples.circumstances(samples.key_of(line))}, after {line['after']:g}",
              line["reason"]] for line in run.kinds["failed"]]
    rows += [[line["contender"], f"{line['scenario']}, {line['network']}", line["reason"]]
             for line in run.kinds["left"]]
    if not rows:
        return ""
    return ('<h2>What failed or is missing</h2>' +
            table(["contender", "in", "what"], rows, (0, 1), (2,)))


def page(run, before=None):
    css = (pathlib.Path(__file__).parent / "page.css").read_text(encoding="utf-8")
    against = ""
    if before is not None:
        against = ("<h2>Against the run before</h2><pre>" +
                   escaped("\n".join(compare.lines_of(before, run))) + "</pre>")
    return ("<!doctype html><html lang=en><meta charset=utf-8>"
            '<meta name=viewport content="width=device-width">'
            f"<title>davit beside its peers</title><style>{css}</style>"
            f"<h1>Startup: davit beside its peers</h1>{about(run)}"
            "<p class=soft>All contenders took turns within one run, so what disturbed the machine "
            "disturbed all alike: compare ratios within this page, not milliseconds between "
            "pages.</p>"
            f"{troubles(run)}{against}{latencies(run)}{rates(run)}{running(run)}"
            f"{adversities(run)}{phases(run)}{memory(run)}{numbers(run)}</html>\n")


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run")
    parser.add_argument("out")
    parser.add_argument("--against", metavar="BEFORE")
    options = parser.parse_args(arguments)
    before = samples.load(options.against) if options.against else None
    pathlib.Path(options.out).write_text(page(samples.load(options.run), before), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
