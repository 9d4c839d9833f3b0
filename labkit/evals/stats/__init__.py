"""The statistics under a comparison, each with its source. The unit is the case.

    interval.py        Interval: two ends, either of which may be missing
    rates.py           one pass rate: wilson, clopper_pearson, rate_se, difference_se, rogan_gladen
    binary_pairs.py    pass or fail on the same cases: mcnemar_*, tango, newcombe, non_inferiority
    numeric_pairs.py   scores on the same cases: paired_t, clustered_se
    permutation.py     the same without a bell curve: sign_flip, wilcoxon
    timings.py         percentiles of timings, and how two runs differ in them
    quantiles.py       medians and p95 between order statistics
    inference.py       one difference, one method: the verdict is what its interval says
    multiplicity.py    many p-values: holm, benjamini_hochberg, bonferroni
    drift.py           change_chart: has a rate moved over many runs?
    peeking.py         e_value, for who looks after every case
    planning.py        how many cases, and what so many cases can show
    agreement.py       raters: cohen_kappa, fleiss_kappa, krippendorff_alpha
    repeats.py         pass@k and pass^k
    arguments.py       what all of them check

Comparisons, gates and histories rest on ``inference``, ``timings``, ``rates``, ``quantiles``, ``multiplicity`` and
``drift``. The rest is a toolbox for notebooks, checked against published figures like everything here: other tests of
the same pairs (``mcnemar_exact``, ``mcnemar_mid_p``, ``newcombe``, ``paired_t``, ``sign_flip``, ``wilcoxon``), planning
by formula, and agreement among several raters.

What cannot be estimated raises ``TooFewCases``, what cannot be meant ``OptionInvalid``; no function returns nan.
Importing this loads the standard library only. ``wilson``, ``tango`` and ``mcnemar_exact`` never need more, because
every comparison calls them; scipy, numpy and statsmodels are imported by the functions that use them.
"""

from labkit.evals.stats.agreement import Kappa, Level, cohen_kappa, fleiss_kappa, krippendorff_alpha
from labkit.evals.stats.binary_pairs import (
    NonInferiority,
    Verdict,
    mcnemar_chi2,
    mcnemar_exact,
    mcnemar_mid_p,
    mcnemar_score,
    newcombe,
    non_inferiority,
    tango,
)
from labkit.evals.stats.drift import Drift, DriftPoint, change_chart
from labkit.evals.stats.inference import Inference, mean_difference
from labkit.evals.stats.interval import Interval
from labkit.evals.stats.multiplicity import benjamini_hochberg, bonferroni, holm
from labkit.evals.stats.numeric_pairs import Estimate, clustered_se, paired_t
from labkit.evals.stats.peeking import e_value
from labkit.evals.stats.permutation import sign_flip, wilcoxon
from labkit.evals.stats.planning import cases_needed, cases_needed_numeric, minimum_detectable_effect
from labkit.evals.stats.quantiles import quantile_coverage, quantile_interval, quantile_ranks
from labkit.evals.stats.rates import clopper_pearson, difference_se, rate_se, rogan_gladen, wilson
from labkit.evals.stats.repeats import pass_at_k, pass_hat_k

__all__ = [
    "Drift",
    "DriftPoint",
    "Estimate",
    "Inference",
    "Interval",
    "Kappa",
    "Level",
    "NonInferiority",
    "Verdict",
    "benjamini_hochberg",
    "bonferroni",
    "cases_needed",
    "cases_needed_numeric",
    "change_chart",
    "clopper_pearson",
    "clustered_se",
    "cohen_kappa",
    "difference_se",
    "e_value",
    "fleiss_kappa",
    "holm",
    "krippendorff_alpha",
    "mcnemar_chi2",
    "mcnemar_exact",
    "mcnemar_mid_p",
    "mcnemar_score",
    "mean_difference",
    "minimum_detectable_effect",
    "newcombe",
    "non_inferiority",
    "paired_t",
    "pass_at_k",
    "pass_hat_k",
    "quantile_coverage",
    "quantile_interval",
    "quantile_ranks",
    "rate_se",
    "rogan_gladen",
    "sign_flip",
    "tango",
    "wilcoxon",
    "wilson",
]
