"""The JSON lines of davit_bench_startup, and what is computed from them.

One line is one object; "kind" says what it tells (bench/README.md, "The samples"). Durations are in
microseconds, as "us" in their names says.
"""
import collections
import json
import math

STEPS = ("create", "start", "first", "wait", "rm")

# running: so many containers ran already; adversity: what went on beside. Runs from before there
# were such fields had neither.
Key = collections.namedtuple("Key", "scenario network clients contender running adversity",
                             defaults=(0, "none"))


class Run:
    """One run: its lines by kind, and its samples by what was measured."""

    def __init__(self, lines):
        self.about = {}
        self.kinds = collections.defaultdict(list)
        # Key -> metric ("whole" or a step) -> round -> durations.
        self.samples = collections.defaultdict(lambda: collections.defaultdict(
            lambda: collections.defaultdict(list)))
        for line in lines:
            if line.get("bench") != "startup":
                continue
            self.kinds[line["kind"]].append(line)
            if line["kind"] == "run":
                self.about = line
            elif line["kind"] == "sample":
                rounds = self.samples[key_of(line)]
                for metric in ("whole",) + STEPS:
                    if metric + "_us" in line:
                        rounds[metric][int(line["round"])].append(line[metric + "_us"])

    def values(self, key, metric="whole"):
        """All durations of one cell, in microseconds."""
        if key not in self.samples or metric not in self.samples[key]:
            return []
        return [value for values in self.samples[key][metric].values() for value in values]

    def round_medians(self, key, metric):
        """One number for each round: what was measured within a round is not independent."""
        if key not in self.samples or metric not in self.samples[key]:
            return []
        return [median(values) for values in self.samples[key][metric].values()]

    def least_running(self):
        """What stands for "nothing else runs": the least number of containers that ran already."""
        return min((key.running for key in self.samples), default=0)

    def plain(self):
        """The keys that differ in work, clients and contender alone."""
        least = self.least_running()
        return [key for key in self.samples
                if key.running == least and key.adversity == "none"]

    def rates(self):
        """Key -> containers per second, over all turns."""
        counted = collections.defaultdict(lambda: [0, 0])
        for turn in self.kinds["turn"]:
            both = counted[key_of(turn)]
            both[0] += turn["containers"]
            both[1] += turn["elapsed_us"]
        return {key: count * 1e6 / elapsed for key, (count, elapsed) in counted.items()
                if count and elapsed}

    def cpu_ms(self):
        """Key -> milliseconds of processor time for each container."""
        counted = collections.defaultdict(lambda: [0, 0])
        for turn in self.kinds["turn"]:
            if "cpu_us" not in turn:
                continue  # With an adversity there is no telling whose it is.
            both = counted[key_of(turn)]
            both[0] += turn["containers"]
            both[1] += turn["cpu_us"]
        return {key: cpu / count / 1e3 for key, (count, cpu) in counted.items() if count}

    def worst(self, name):
        """Key -> the largest value that a turn has under this name."""
        found = {}
        for turn in self.kinds["turn"]:
            if name in turn:
                key = key_of(turn)
                found[key] = max(found.get(key, 0), turn[name])
        return found


def key_of(line):
    return Key(line["scenario"], line["network"], int(line["clients"]), line["contender"],
               int(line.get("running", 0)), line.get("adversity", "none"))


def circumstances(key):
    """What was there beside the work, as words behind it; mostly nothing."""
    running = f", {key.running} running" if key.running else ""
    return running + (f", {key.adversity}" if key.adversity != "none" else "")


def load(path):
    """A Run from a file. A line that was cut off (the run was killed) is the end of it."""
    lines = []
    with open(path, encoding="utf-8") as file:
        for text in file:
            try:
                lines.append(json.loads(text))
            except ValueError:
                break
    return Run(lines)


def percentile(values, fraction):
    """The nearest-rank percentile; needs a value."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(fraction * len(ordered)) - 1)]


def median(values):
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def mann_whitney(one, other):
    """The two-sided p of the Mann-Whitney U test: that values of one tend to be larger or smaller.

    Exact where there are no ties and up to 20 values on each side, else the normal approximation
    with corrections for ties and continuity. Follows: Mann and Whitney, 1947.
    """
    n, m = len(one), len(other)
    if n == 0 or m == 0:
        return 1.0
    u = sum((a > b) + (a == b) / 2 for a in one for b in other)
    u = min(u, n * m - u)
    counts = collections.Counter(list(one) + list(other))
    if max(counts.values()) == 1 and n <= 20 and m <= 20:
        return min(1.0, 2 * sum(u_counts(n, m)[:int(u) + 1]) / math.comb(n + m, n))
    total = n + m
    ties = sum(count ** 3 - count for count in counts.values())
    variance = n * m / 12 * (total + 1 - ties / (total * (total - 1)))
    if variance == 0:
        return 1.0
    z = max(0.0, n * m / 2 - u - 0.5) / math.sqrt(variance)
    return math.erfc(z / math.sqrt(2))


def u_counts(n, m):
    """How many orders of n and m values have each U: the Gaussian binomial's coefficients."""
    counts = [1] + [0] * (n * m)
    for i in range(1, n + 1):
        # Times (1 - q^(m+i)), then divided by (1 - q^i).
        for at in range(n * m, m + i - 1, -1):
            counts[at] -= counts[at - m - i]
        for at in range(i, n * m + 1):
            counts[at] += counts[at - i]
    return counts


def smallest_p(n, m):
    """The least p that so many values on each side can have at all."""
    return min(1.0, 2 / math.comb(n + m, n)) if n and m else 1.0


def holm(ps, alpha=0.05):
    """Which of many tests hold when none of them may err by chance more often than alpha.

    Follows: Holm, 1979.
    """
    holds = [False] * len(ps)
    for rank, index in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        if ps[index] > alpha / (len(ps) - rank):
            break
        holds[index] = True
    return holds
