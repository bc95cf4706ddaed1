"""The statistics and the page of bench/report, on made-up runs.

Goal: the test that says "beyond noise" has the right p, keeps quiet on two samples of the same, and
speaks on a shift; the page has every part, is well-formed, and needs nothing from elsewhere.
Method: known values of Mann-Whitney's table, brute force, and runs with a fixed seed.
"""
import html.parser
import itertools
import json
import os
import pathlib
import random
import re
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench" / "report"))
import compare  # noqa: E402
import plot  # noqa: E402
import report  # noqa: E402
import samples  # noqa: E402

CONTENDERS = {"floor": 2000, "davit API": 4000, "dockerd API": 300000, "<script>alert(1)": 9000}


def lines(seed, factor=1.0, rounds=10):
    """A run: three parallelisms, steps and phases; factor slows davit down."""
    chance = random.Random(seed)
    yield {"bench": "startup", "kind": "run", "date": "2024-01-01 00:00 UTC", "kernel": "6.1",
           "cpus": 2, "rounds": rounds, "turn_s": 0.5, "version davit": "davit 1"}
    for name, base in CONTENDERS.items():
        base *= factor if name == "davit API" else 1
        for clients in (1, 4, 16):
            for number in range(rounds):
                about = {"bench": "startup", "contender": name, "scenario": "steps",
                         "network": "none", "clients": clients, "round": number}
                whole = 0
                for _ in range(5):
                    value = base * clients * chance.lognormvariate(0, 0.1)
                    whole += value
                    yield dict(about, kind="sample", whole_us=value, create_us=value / 3)
                yield dict(about, kind="phase", phase="exec", start_us=100, duration_us=900)
                yield dict(about, kind="turn", containers=5, elapsed_us=whole, cpu_us=5000,
                           share_kib=9000 + clients, loop_longest_us=300)
    yield {"bench": "startup", "kind": "absent", "contender": "ctr", "reason": "not <installed>"}
    yield {"bench": "startup", "kind": "failed", "contender": "runc", "scenario": "run",
           "network": "none", "clients": 4, "after": 3, "reason": "lied"}


def hard_lines(seed):
    """The same with 0, 100 and 1,000 containers running; davit alone has the 1,000."""
    for count in (0, 100, 1000):
        for line in lines(seed, factor=1 + count / 1000):
            if count == 1000 and not line.get("contender", "davit API").startswith("davit"):
                continue
            yield dict(line, running=count)
    yield {"bench": "startup", "kind": "filled", "engine": "davit", "running": 100, "seconds": 1.5,
           "share_each_kib": 33}
    yield {"bench": "startup", "kind": "unfilled", "engine": "dockerd", "running": 1000,
           "reached": 480, "reason": "480 of 1000 containers ran: it takes too long"}


def adverse_lines(seed):
    """Two adversities: one that doubles everybody's time, one that only davit has."""
    for line in lines(seed):
        yield line
        if line.get("kind") in ("sample", "turn"):
            hard = dict(line, adversity="pull")
            hard.pop("cpu_us", None)
            if "whole_us" in hard:
                hard["whole_us"] *= 2
            yield hard
            if line["contender"] == "davit API":
                yield dict(hard, adversity="prune")
    yield {"bench": "startup", "kind": "adversity", "adversity": "pull", "about": "of 40 MiB"}
    for _ in range(3):
        yield {"bench": "startup", "kind": "unfit", "contender": "floor", "scenario": "steps",
               "network": "none", "clients": 1, "adversity": "prune", "reason": "it is no engine"}


class Statistics(unittest.TestCase):
    def test_u_counts_are_those_of_all_orders(self):
        for n, m in ((1, 1), (3, 2), (4, 4), (5, 3)):
            counted = [0] * (n * m + 1)
            for ranks in itertools.combinations(range(n + m), n):
                counted[sum(rank - i for i, rank in enumerate(ranks))] += 1
            self.assertEqual(samples.u_counts(n, m), counted)

    def test_mann_whitney_is_exact_without_ties(self):
        # The table of Mann and Whitney: n = m = 5, U = 2 is significant at 5 %, U = 3 is not.
        self.assertAlmostEqual(samples.mann_whitney([1, 2, 3, 4, 7], [5, 6, 8, 9, 10]), 8 / 252)
        self.assertAlmostEqual(samples.mann_whitney([1, 2, 3, 4, 8], [5, 6, 7, 9, 10]), 14 / 252)
        self.assertEqual(samples.mann_whitney([1, 4], [2, 3]), 1.0)

    def test_mann_whitney_with_ties_is_an_approximation(self):
        self.assertEqual(samples.mann_whitney([1] * 9, [1] * 9), 1.0)
        self.assertLess(samples.mann_whitney([1, 1, 2, 2, 3] * 3, [4, 4, 5, 5, 6] * 3), 1e-4)

    def test_holm_lets_none_of_many_err(self):
        self.assertEqual(samples.holm([0.01, 0.04, 0.03]), [True, False, False])
        self.assertEqual(samples.holm([0.01, 0.02, 0.03]), [True, True, True])
        self.assertEqual(samples.holm([]), [])

    def test_percentiles_are_nearest_ranks(self):
        self.assertEqual(samples.percentile(range(1, 101), 0.95), 95)
        self.assertEqual(samples.percentile([7], 0.5), 7)
        self.assertEqual(samples.median([4, 1, 3, 2]), 2.5)


class Comparison(unittest.TestCase):
    def test_the_same_twice_is_noise(self):
        found = compare.compare(samples.Run(lines(1)), samples.Run(lines(2)))
        self.assertEqual([d for d in found if d.beyond], [])
        self.assertTrue(all(d.possible for d in found))

    def test_a_shift_is_found_where_it_is(self):
        found = compare.compare(samples.Run(lines(1)), samples.Run(lines(2, factor=1.3)))
        self.assertEqual({d.key.contender for d in found if d.beyond}, {"davit API"})
        self.assertEqual(len([d for d in found if d.beyond]), 6)

    def test_too_few_rounds_are_said_to_be(self):
        told = compare.lines_of(samples.Run(lines(1, rounds=3)),
                                samples.Run(lines(2, factor=9, rounds=3)))
        self.assertIn("too few rounds", "\n".join(told))
        self.assertIn("0 of 24 differences", "\n".join(told))

    def test_the_floor_tells_of_the_machine(self):
        told = compare.lines_of(samples.Run(lines(1)), samples.Run(lines(2)))
        self.assertRegex(told[0], r"^the machine itself: the floor with 1 client\(s\) takes [01]\.")

    def test_a_file_that_was_cut_off_is_read_up_to_there(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "run.jsonl")
            with open(path, "w", encoding="utf-8") as file:
                for line in lines(1):
                    file.write(json.dumps(line) + "\n")
                file.write('{"bench":"startup","kind":"sam')
            self.assertEqual(len(samples.load(path).samples), len(CONTENDERS) * 3)


class Balance(html.parser.HTMLParser):
    """Every tag that is opened is closed in its order."""
    VOID = {"meta"}
    CLOSES_ITSELF = {"p"}

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.wrong = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


class Page(unittest.TestCase):
    def setUp(self):
        self.text = report.page(samples.Run(lines(2, factor=1.3)), samples.Run(lines(1)))
        self.parsed = Balance()
        self.parsed.feed(self.text)

    def test_it_is_well_formed(self):
        self.assertEqual(self.parsed.wrong, [])
        self.assertEqual(self.parsed.open, [])

    def test_it_needs_nothing_from_elsewhere(self):
        self.assertNotIn("script", {tag for tag, _ in self.parsed.tags})
        for _, attributes in self.parsed.tags:
            self.assertFalse({"src", "href"} & set(attributes))
        self.assertNotRegex(self.text, r"url\(|@import|https?:")

    def test_it_has_every_part(self):
        for head in ("What failed or is missing", "Against the run before", "Latency",
                     "Rate against parallelism", "Phases of a start", "Memory of the daemons",
                     "All numbers"):
            self.assertIn(f"<h2>{head}", self.text)
        self.assertIn("not &lt;installed&gt;", self.text)
        self.assertEqual(len([tag for tag, _ in self.parsed.tags if tag == "svg"]), 4)

    def test_what_was_measured_with_containers_running_is_a_part_of_its_own(self):
        run = samples.Run(hard_lines(3))
        text = report.page(run)
        parsed = Balance()
        parsed.feed(text)
        self.assertEqual((parsed.wrong, parsed.open), ([], []))
        self.assertIn("<h2>With containers already running", text)
        self.assertIn("480 of 1000 containers ran", text)
        self.assertIn("<td class=text>davit</td><td>100</td><td>33.0</td>", text)
        # The other plots have what was measured with none running, and nothing else.
        self.assertEqual({key.running for key in run.plain()}, {0})
        self.assertEqual(len(run.plain()), len(CONTENDERS) * 3)
        self.assertEqual(len([tag for tag, _ in parsed.tags if tag == "svg"]), 4 + 3)
        for x in re.findall(r' (?:x|x1|x2|cx)="([^"]+)"', text):
            self.assertTrue(-0.1 <= float(x) <= plot.WIDTH + 0.1, x)

    def test_adversities_are_ratios_to_none(self):
        run = samples.Run(adverse_lines(3))
        text = report.page(run)
        parsed = Balance()
        parsed.feed(text)
        self.assertEqual((parsed.wrong, parsed.open), ([], []))
        self.assertIn("<h2>Adversities", text)
        self.assertIn("of 40 MiB", text)
        self.assertRegex(text, r"<td class=text>davit API</td><td>\d\.\d\d</td><td>2.00</td>"
                               r"<td>2.00</td></tr>")
        self.assertRegex(text, r"<td class=text>floor</td><td>\d\.\d\d</td><td>2.00</td>"
                               r"<td></td></tr>")
        self.assertEqual(text.count("it is no engine"), 1)
        # No other part has them.
        self.assertEqual({key.adversity for key in run.plain()}, {"none"})
        self.assertEqual(len([tag for tag, _ in parsed.tags if tag == "svg"]), 4)

    def test_runs_compare_what_was_alike(self):
        told = "\n".join(compare.lines_of(samples.Run(hard_lines(1)), samples.Run(hard_lines(2)),
                                          show_all=True))
        self.assertIn("steps none 16, 1000 running", told)
        self.assertIn("of 54 differences", told)

    def test_no_number_of_a_plot_is_beyond_it(self):
        for x in re.findall(r' (?:x|x1|x2|cx)="([^"]+)"', self.text):
            self.assertTrue(-0.1 <= float(x) <= plot.WIDTH + 0.1, x)

    def test_labels_are_spread(self):
        placed = plot.spread([50, 50, 51, 400], 15, 0, 100)
        self.assertTrue(all(abs(a - b) >= 15 - 1e-9
                            for a, b in itertools.combinations(placed, 2)))
        self.assertTrue(all(0 <= y <= 100 for y in placed))

    def test_an_empty_run_has_a_page(self):
        self.assertIn("</html>", report.page(samples.Run([])))


if __name__ == "__main__":
    unittest.main()
