"""How far a judge can be trusted: its verdicts against those of people, and the pass rate behind the one it reports."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from labkit.errors import OptionInvalid, TooFewCases
from labkit.evals.runs import EvalRun
from labkit.evals.stats.agreement import cohen_kappa
from labkit.evals.stats.arguments import two_sided_z
from labkit.evals.stats.interval import Interval
from labkit.evals.stats.rates import rogan_gladen, wilson
from labkit.store.reviews import Review, standing

__all__ = ["Calibration", "Measured", "calibrate", "rogan_gladen_interval"]

_FEW_REVIEWS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A figure with its interval.

    Args:
        n: Cases it rests on.
    """

    value: float
    interval: Interval
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """A judge measured against people. None where the reviews cannot tell, never 0.

    Args:
        judge: Its name.
        n: Cases that were both judged and reviewed.
        not_judged: Reviewed cases on which the judge gave no verdict; they are left out.
        unknown: Reviewed cases that were not in what was judged; they are left out.
        both_pass: Cases that both passed.
        only_judge: Cases that only the judge passed: its false alarms of quality.
        only_human: Cases that only the people passed.
        both_fail: Cases that both failed.
        disagreements: Ids of the cases they disagree on: read these before the figures.
        agreement: Share of cases with the same verdict; high by chance alone where one verdict is rare.
        kappa: Agreement beyond chance: 1 is perfect, 0 chance.
        prevalence: Share of the reviewed cases that people passed.
        sensitivity: Share of what people passed that the judge passed.
        specificity: Share of what people failed that the judge failed.
        observed_pass_rate: The judge's, over all that it judged.
        corrected_pass_rate: The one behind it, by sensitivity and specificity.
        warnings: What to know before any of this is believed.
    """

    judge: str
    n: int
    not_judged: int
    unknown: int
    both_pass: int
    only_judge: int
    only_human: int
    both_fail: int
    disagreements: tuple[str, ...]
    agreement: Measured
    kappa: Measured | None
    prevalence: Measured
    sensitivity: Measured | None
    specificity: Measured | None
    observed_pass_rate: Measured
    corrected_pass_rate: Measured | None
    warnings: tuple[str, ...]

    def __repr__(self) -> str:
        kappa = "not estimable" if self.kappa is None else f"{self.kappa.value:.2f}"
        return (
            f"Calibration({self.judge!r}: {self.n} reviews, kappa {kappa}, agreement {self.agreement.value:.0%}, "
            f"{len(self.warnings)} warnings)"
        )

    def _repr_html_(self) -> str:
        rows = [
            ("agreement beyond chance (kappa)", _shown(self.kappa, share=False)),
            ("raw agreement", _shown(self.agreement)),
            ("passed by people (prevalence)", _shown(self.prevalence)),
            ("sensitivity", _shown(self.sensitivity)),
            ("specificity", _shown(self.specificity)),
            (f"pass rate by the judge, {self.observed_pass_rate.n} cases", _shown(self.observed_pass_rate)),
            ("pass rate, corrected", _shown(self.corrected_pass_rate)),
        ]
        body = "".join(
            f"<tr><th style='text-align:left;font-weight:500'>{escape(name)}</th>"
            f"<td style='text-align:left'>{escape(said)}</td></tr>"
            for name, said in rows
        )
        warned = "".join(f"<li>{escape(warning)}</li>" for warning in self.warnings)
        return (
            f"<div><b>{escape(self.judge)}</b> against {self.n} reviews<table>{body}</table>"
            + (f"<ul>{warned}</ul>" if warned else "")
            + "</div>"
        )


def calibrate(
    judged: Mapping[str, bool | None] | EvalRun,
    human: Mapping[str, bool] | Sequence[Review],
    *,
    scorer: str | None = None,
    confidence: float = 0.95,
) -> Calibration:
    """Measure a judge against people, and correct the pass rate it reports.

    The reviewed cases have to be a random part of those that were judged: where people saw only what the judge failed,
    sensitivity and specificity are wrong, and the corrected rate with them.

    Args:
        judged: The judge's verdict by case id, None where it gave none; or a run that holds its scores. Of a case that
            was asked several times the first answer counts.
        human: The people's verdict by case id, of some of the cases; or reviews as they are stored. Of these, the
            standing ones of first answers count; who said unclear has not said.
        scorer: Which of the run's scorers is measured; may be left out when there is one.
        confidence: Of every interval, inside (0, 1).

    Raises:
        TooFewCases: No case was both judged and reviewed.
        OptionInvalid: A verdict that is neither true nor false, reviewers who disagree on a case, or a run without that
            scorer.
    """
    name, verdicts = _verdicts(judged, scorer)
    reviews = _reviews(human)
    pairs = {
        case_id: (verdict, passed)
        for case_id, passed in reviews.items()
        if (verdict := verdicts.get(case_id)) is not None
    }
    if not pairs:
        raise TooFewCases(
            f"none of the {len(reviews)} reviewed cases has a verdict of {name!r} among {len(verdicts)}: review cases "
            "that it judged, by the same ids"
        )
    seen = list(pairs.values())
    (both_pass, only_judge, only_human, both_fail) = (
        seen.count(cell) for cell in ((True, True), (True, False), (False, True), (False, False))
    )
    n, good, bad = len(seen), both_pass + only_human, only_judge + both_fail
    sensitivity = _rate(both_pass, good, confidence) if good else None
    specificity = _rate(both_fail, bad, confidence) if bad else None
    given = [verdict for verdict in verdicts.values() if verdict is not None]
    observed = _rate(sum(given), len(given), confidence)
    corrected = None
    if sensitivity is not None and specificity is not None:
        corrected = _corrected(sum(given), len(given), both_pass, good, both_fail, bad, confidence)
    not_judged = sum(case_id in verdicts and verdicts[case_id] is None for case_id in reviews)
    unknown = sum(case_id not in verdicts for case_id in reviews)
    return Calibration(
        judge=name,
        n=n,
        not_judged=not_judged,
        unknown=unknown,
        both_pass=both_pass,
        only_judge=only_judge,
        only_human=only_human,
        both_fail=both_fail,
        disagreements=tuple(case_id for case_id, (verdict, passed) in pairs.items() if verdict != passed),
        agreement=_rate(both_pass + both_fail, n, confidence),
        kappa=_kappa(both_pass, only_judge, only_human, both_fail, confidence) if good and bad else None,
        prevalence=_rate(good, n, confidence),
        sensitivity=sensitivity,
        specificity=specificity,
        observed_pass_rate=observed,
        corrected_pass_rate=corrected,
        warnings=tuple(_warnings(n, good, sensitivity, specificity, corrected, not_judged, unknown)),
    )


def rogan_gladen_interval(
    passed: int, n: int, true_pass: int, good: int, true_fail: int, bad: int, confidence: float = 0.95
) -> Interval | None:
    """Give the interval of a pass rate that was corrected by an estimated sensitivity and specificity.

    The delta method over all three shares, each drawn a little to the middle first, as Agresti and Coull do for one: it
    keeps its level from some 30 cases on. It takes the reviews for independent of the run; where they are part of it,
    as in ``calibrate``, it is on the safe side.

    Args:
        passed: Cases that the judge passed, of *n*.
        true_pass: Cases that it passed of the *good* ones, by people.
        true_fail: Cases that it failed of the *bad* ones.
        confidence: Of the two-sided interval, inside (0, 1).

    Returns:
        Shares in [0, 1]; None when so few reviews cannot tell the judge from a coin.

    Source: Lang and Reiczigel (2014), "Confidence limits for prevalence of disease adjusted for estimated sensitivity
    and specificity", Preventive Veterinary Medicine 113; the variance is that of Rogan and Gladen (1978).
    """
    z = two_sided_z(confidence)
    weight, weight_good, weight_bad = n + z * z, good + 2, bad + 2
    observed = (passed + z * z / 2) / weight
    sensitivity, specificity = (true_pass + 1) / weight_good, (true_fail + 1) / weight_bad
    skill = sensitivity + specificity - 1
    if skill <= 0:
        return None
    rate = (observed + specificity - 1) / skill
    by_good = sensitivity * (1 - sensitivity) / weight_good
    by_bad = specificity * (1 - specificity) / weight_bad
    shift = 2 * z * z * (rate * by_good - (1 - rate) * by_bad)
    variance = observed * (1 - observed) / weight + rate**2 * by_good + (1 - rate) ** 2 * by_bad
    half = z * math.sqrt(variance) / skill
    low, high = rate + shift - half, rate + shift + half
    return Interval(min(1.0, max(0.0, low)), max(0.0, min(1.0, high)))


def _corrected(
    passed: int, n: int, true_pass: int, good: int, true_fail: int, bad: int, confidence: float
) -> Measured | None:
    if true_pass * bad + true_fail * good <= good * bad:
        return None  # sensitivity + specificity <= 1: the judge has nothing to correct by
    interval = rogan_gladen_interval(passed, n, true_pass, good, true_fail, bad, confidence)
    if interval is None:
        return None
    value = rogan_gladen(passed / n, true_pass / good, true_fail / bad)
    # Its middle is not the estimate: at the ends of the scale it can miss it by rounding or by a hair.
    return Measured(value=value, interval=Interval(min(value, interval.low), max(value, interval.high)), n=n)


def _kappa(both_pass: int, only_judge: int, only_human: int, both_fail: int, confidence: float) -> Measured:
    found = cohen_kappa([[both_pass, only_judge], [only_human, both_fail]], confidence)
    return Measured(value=found.kappa, interval=found.interval, n=found.n)


def _rate(part: int, n: int, confidence: float) -> Measured:
    return Measured(value=part / n, interval=wilson(part, n, confidence), n=n)


def _verdicts(judged: Mapping[str, bool | None] | EvalRun, scorer: str | None) -> tuple[str, dict[str, bool | None]]:
    if not isinstance(judged, EvalRun):
        read = {key: None if passed is None else _as_bool(key, passed) for key, passed in judged.items()}
        return scorer or "judge", read
    names = list(judged.scorers)
    if scorer is None and len(names) == 1:
        scorer = names[0]
    if scorer not in names:
        raise OptionInvalid(
            f"scorer={scorer!r}: run {judged.run_id} has {', '.join(map(repr, names)) or 'none'}; name one"
        )
    verdicts: dict[str, bool | None] = {}
    for row in judged.rows:
        verdicts.setdefault(row.case_id, row.scores[scorer].passed)
    return scorer, verdicts


def _reviews(human: Mapping[str, bool] | Sequence[Review]) -> dict[str, bool]:
    if isinstance(human, Mapping):
        return {case_id: _as_bool(case_id, passed) for case_id, passed in human.items()}
    found: dict[str, bool] = {}
    for review in standing(human):
        if review.repeat or review.verdict == "unclear":
            continue
        passed = review.verdict == "pass"
        if found.setdefault(review.case_id, passed) != passed:
            raise OptionInvalid(
                f"the reviews of case {review.case_id!r} disagree: let one supersede the other, or leave the case out"
            )
    return found


def _as_bool(case_id: str, passed: object) -> bool:
    # "fail" would count as true, and so would nan
    if passed not in (True, False):
        raise OptionInvalid(f"case {case_id!r}: a verdict is True or False, not {passed!r}")
    return bool(passed)


def _warnings(
    n: int,
    good: int,
    sensitivity: Measured | None,
    specificity: Measured | None,
    corrected: Measured | None,
    not_judged: int,
    unknown: int,
) -> list[str]:
    found = []
    if n < _FEW_REVIEWS:
        found.append(f"only {n} reviews: the intervals are wide; review {_FEW_REVIEWS} cases or more")
    if sensitivity is None or specificity is None:
        found.append(
            f"people {'passed' if good else 'failed'} every reviewed case: kappa, "
            f"{'specificity' if good else 'sensitivity'} and the corrected pass rate are not estimable; also review "
            f"cases that should {'fail' if good else 'pass'}"
        )
    elif sensitivity.value + specificity.value <= 1:
        found.append(
            f"sensitivity {sensitivity.value:.2f} and specificity {specificity.value:.2f} add up to 1 or less: the "
            "judge tells good from bad no better than a coin, and its pass rate cannot be corrected; mend its rubric"
        )
    elif corrected is None or sensitivity.interval.low + specificity.interval.low <= 1:
        found.append(
            "by these reviews the judge may be no better than a coin: review more cases, passed and failed ones"
        )
    if not_judged:
        found.append(f"{not_judged} reviewed cases are left out: the judge gave no verdict on them")
    if unknown:
        found.append(f"{unknown} reviewed cases are left out: they are not among those that were judged")
    return found


def _shown(measured: Measured | None, *, share: bool = True) -> str:
    if measured is None:
        return "not estimable"
    low, high = measured.interval
    if share:
        return f"{measured.value:.1%} ({low:.1%} to {high:.1%}, n = {measured.n})"
    return f"{measured.value:.2f} ({low:.2f} to {high:.2f}, n = {measured.n})"
