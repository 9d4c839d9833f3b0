"""Published and recomputed figures: every row of stat_checks.jsonl, to the tolerance that it names."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from labkit.evals import stats

ROWS = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "data" / "stat_checks.jsonl").read_text(encoding="utf-8").splitlines()
]


def rate(inputs: Mapping[str, Any], **_: Any) -> Any:
    return list(stats.wilson(inputs["x"], inputs["n"], inputs["conf"]))


def exact_rate(inputs: Mapping[str, Any], **_: Any) -> Any:
    return list(stats.clopper_pearson(inputs["x"], inputs["n"]))


def zero_failures(inputs: Mapping[str, Any], **_: Any) -> Any:
    """One-sided 95% is the upper end of two-sided 90%."""
    return stats.clopper_pearson(inputs["x"], inputs["n"], 0.90).high


def mcnemar(inputs: Mapping[str, Any], **_: Any) -> Any:
    b, c = inputs.get("regressed", inputs.get("b")), inputs.get("improved", inputs.get("c"))
    (chi2, p), (chi2_cc, p_cc) = stats.mcnemar_chi2(b, c, correction=False), stats.mcnemar_chi2(b, c)
    exact, mid = stats.mcnemar_exact(b, c), stats.mcnemar_mid_p(b, c)
    return {"chi2": chi2, "p": p, "chi2_cc": chi2_cc, "p_cc": p_cc, "p_exact": exact, "p_mid": mid}


def tango(inputs: Mapping[str, Any], **_: Any) -> Any:
    improved, regressed, n = inputs["improved"], inputs["regressed"], inputs["n"]
    found = stats.non_inferiority(improved, regressed, n, margin=0.1)
    differences = [1] * improved + [-1] * regressed + [0] * (n - improved - regressed)
    wald_se = stats.clustered_se(differences, range(n)) * math.sqrt((n - 1) / n)
    return {"diff": found.difference, "lo": found.interval.low, "hi": found.interval.high, "wald_se": wald_se}


def newcombe(inputs: Mapping[str, Any], **_: Any) -> Any:
    return list(stats.newcombe(inputs["a"], inputs["b"], inputs["c"], inputs["d"]))


def wilcoxon(inputs: Mapping[str, Any], **_: Any) -> Any:
    statistic, p = stats.wilcoxon(inputs["d"])
    return {"W": statistic, "p_two": p, "p_greater": stats.wilcoxon(inputs["d"], "greater")[1]}


def sign_flip(inputs: Mapping[str, Any], **_: Any) -> Any:
    p, total = stats.sign_flip(inputs["d"]), 2 ** len(inputs["d"])
    return {"p_two": p, "count_two": p * total, "count_ge": p * total / 2, "total": total}


def paired_t(inputs: Mapping[str, Any], **_: Any) -> Any:
    """The row gives a - b, labkit b - a."""
    found = stats.paired_t(inputs["b"], inputs["a"])
    t = found.mean / found.se
    return {"mean": found.mean, "t": t, "df": found.df, "p": found.p, "ci": [found.low, found.high]}


def repeats(inputs: Mapping[str, Any], **_: Any) -> Any:
    a, b = inputs["A"], inputs["B"]
    found = stats.paired_t([fmean(row) for row in a], [fmean(row) for row in b])
    naive = stats.paired_t([score for row in a for score in row], [score for row in b for score in row])
    return {
        "diff": found.mean,
        "se_clustered": found.se,
        "se_naive_all_rows": naive.se,
        "t": found.mean / found.se,
        "df": found.df,
        "p": found.p,
        "ci": [found.low, found.high],
    }


def unpaired(inputs: Mapping[str, Any], **_: Any) -> Any:
    se_a, se_b = (stats.rate_se(inputs[arm], inputs["n"]) for arm in ("p_A", "p_B"))
    se = stats.difference_se(se_a, se_b)
    z = (inputs["p_A"] - inputs["p_B"]) / se
    return {"se_A": se_a, "se_B": se_b, "se_diff_unpaired": se, "z_unpaired": z}


def numeric_cases(inputs: Mapping[str, Any], **_: Any) -> Any:
    variance = float(Fraction(inputs["omega2"])) + 2 * inputs["sigma2"]
    return stats.cases_needed_numeric(inputs["delta"], variance, inputs["power"], inputs["alpha"])


def binary_cases(inputs: Mapping[str, Any], **_: Any) -> Any:
    alpha = inputs["alpha"]
    return {
        side: stats.cases_needed(inputs["p21"], inputs["p12"], 1, inputs["power"], level)
        for side, level in {"two_sided": alpha, "one_sided": 2 * alpha}.items()
    }


def t_cases(inputs: Mapping[str, Any], **_: Any) -> Any:
    return stats.cases_needed_numeric(inputs["d_z"], 1, inputs["power"], inputs["alpha"], exact=True)


def adjusted(inputs: Mapping[str, Any], **_: Any) -> Any:
    ps, alpha = inputs["p"], inputs.get("alpha", 0.05)
    found = {"holm": stats.holm(ps), "bh": stats.benjamini_hochberg(ps), "bonferroni": stats.bonferroni(ps)}
    counts = {f"reject_{name}": sum(p <= alpha for p in values) for name, values in found.items()}
    return {**found, **counts, "bh_first5": found["bh"][:5]}


def kappa(inputs: Mapping[str, Any], **_: Any) -> Any:
    found = stats.cohen_kappa(inputs["table"])
    return {"kappa": found.kappa, "ase": found.se, "ase0": found.se_null}


def alpha(inputs: Mapping[str, Any], expected: Any) -> Any:
    return {level: stats.krippendorff_alpha(list(inputs.values()), level) for level in expected}


def judge(inputs: Mapping[str, Any], **_: Any) -> Any:
    return stats.rogan_gladen(**inputs)


def tries(inputs: Mapping[str, Any], expected: Any) -> Any:
    of = {"@": stats.pass_at_k, "^": stats.pass_hat_k}
    return {name: of[name[4]](inputs["n"], inputs["c"], int(name[5:])) for name in expected}


def quantile(inputs: Mapping[str, Any], **_: Any) -> Any:
    """The ranks are labkit's own choice too, and the interval is made of the values at those ranks."""
    n, q, ranks = inputs["n"], inputs["q"], inputs["ranks"]
    assert list(stats.quantile_interval(range(n, 0, -1), q)) == ranks
    return stats.quantile_coverage(n, q, *ranks)


def maximum(inputs: Mapping[str, Any], **_: Any) -> Any:
    """The largest of 59 values bounds p95 from above, the largest of 58 does not."""
    bounded = [stats.quantile_interval(range(n), inputs["q"], inputs["conf"]).high is not None for n in inputs["n"]]
    assert bounded == [False, True]
    return [stats.quantile_coverage(n, inputs["q"], None, n) for n in inputs["n"]]


ANSWERS: list[tuple[str, Callable[..., Any]]] = [
    ("wilson", rate), ("clopper", exact_rate), ("rule_of_three", zero_failures), ("mcnemar_n", binary_cases),
    ("mcnemar", mcnemar), ("tango", tango), ("newcombe", newcombe), ("darwin_wilcoxon", wilcoxon),
    ("darwin_signflip", sign_flip), ("sleep", paired_t), ("repeats", repeats), ("miller_power", numeric_cases),
    ("miller", unpaired), ("power_t", t_cases), ("holm", adjusted), ("bh", adjusted), ("kappa", kappa),
    ("krippendorff", alpha), ("rogan", judge), ("pass", tries), ("quantile", quantile), ("p95", maximum),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=[row["id"] for row in ROWS])
def test_a_published_figure_is_reproduced(row: dict[str, Any]):
    """A statistic is the one of its name, to the digits that others print."""
    answer = next(answer for prefix, answer in ANSWERS if row["id"].startswith(prefix))

    seen = answer(row["inputs"], expected=row["expected"])

    expected = row["expected"]
    for name in expected if isinstance(expected, dict) else [None]:
        got, wanted = (seen, expected) if name is None else (seen[name], expected[name])
        assert got == pytest.approx(wanted, abs=row["abs_tol"], rel=0), name


def test_every_row_of_the_file_is_there():
    """A row that got lost would pass unseen."""
    assert len(ROWS) == len({row["id"] for row in ROWS}) == 29
