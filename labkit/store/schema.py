"""The tables of a store, through SQLAlchemy Core so that SQLite and PostgreSQL share them.

A unit is one case and repeat of a run, known by its place in the run's plan. What a comparison needs of a unit stands
in narrow columns of ``rows``; what a person looks at one by one, the whole result, stands apart in ``answers``. So the
comparison of two runs of 100,000 rows reads megabytes, not gigabytes.
"""

from __future__ import annotations

from labkit.store.sql import sa
from labkit.store.version import TABLE

__all__ = [
    "answers", "baselines", "call_records", "cases", "metadata", "plan", "reviews", "rows", "runs",
    "starts", "versions",
]  # fmt: skip

metadata = sa.MetaData()

versions = sa.Table(TABLE, metadata, sa.Column("version", sa.Integer, primary_key=True))

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("run_id", sa.String, primary_key=True),
    sa.Column("call", sa.String, nullable=False, index=True),
    sa.Column("started_at", sa.String, nullable=False),
    sa.Column("finished_at", sa.String),
    sa.Column("elapsed_s", sa.Float),
    sa.Column("about", sa.JSON, nullable=False),
    sa.Column("summary", sa.JSON),
)

# Content by its own hash: runs over one dataset share it.
cases = sa.Table(
    "cases", metadata, sa.Column("digest", sa.String, primary_key=True), sa.Column("content", sa.Text, nullable=False)
)

plan = sa.Table(
    "run_units",
    metadata,
    sa.Column("run_id", sa.ForeignKey("runs.run_id"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("case_id", sa.String, nullable=False),
    sa.Column("repeat", sa.Integer, nullable=False),
    sa.Column("digest", sa.ForeignKey("cases.digest"), nullable=False),
    sa.Column("case_hash", sa.String, nullable=False),
    sa.Column("tags", sa.Text, nullable=False),
    sa.Column("cluster", sa.String),
    sa.Column("weight", sa.Float, nullable=False),
    sa.Index("unit_of_run", "run_id", "case_id", "repeat", unique=True),
    sqlite_with_rowid=False,
)

# Written before a request goes out: after a crash they say what may have been billed and is not in any row.
starts = sa.Table(
    "request_starts",
    metadata,
    sa.Column("run_id", sa.ForeignKey("runs.run_id"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("session", sa.String, primary_key=True),
    sa.Column("n", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("started_at", sa.String, nullable=False),
    sa.Column("model", sa.String, nullable=False),
    sqlite_with_rowid=False,
)

rows = sa.Table(
    "run_rows",
    metadata,
    sa.Column("run_id", sa.ForeignKey("runs.run_id"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("status", sa.String, nullable=False),
    sa.Column("source", sa.String, nullable=False),
    sa.Column("passed", sa.SmallInteger),
    sa.Column("degraded", sa.SmallInteger, nullable=False),
    sa.Column("schema_valid", sa.SmallInteger, nullable=False),
    sa.Column("elapsed_s", sa.Float, nullable=False),
    sa.Column("cost_usd", sa.Float),
    sa.Column("requests", sa.Integer, nullable=False),
    sa.Column("scores", sa.Text),  # [[scorer, value, passed, cost], ...]; without the reasons, which are in answers
    sqlite_with_rowid=False,
)

answers = sa.Table(
    "answers",
    metadata,
    sa.Column("run_id", sa.ForeignKey("runs.run_id"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("finished_at", sa.String, nullable=False),
    sa.Column("worker", sa.String, nullable=False),
    sa.Column("result", sa.Text, nullable=False),
    sa.Column("scores", sa.Text, nullable=False),
)

# Append-only: a changed mind is a new review that names the one it supersedes.
reviews = sa.Table(
    "reviews",
    metadata,
    sa.Column("review_id", sa.String, primary_key=True),
    sa.Column("run_id", sa.ForeignKey("runs.run_id"), nullable=False, index=True),
    sa.Column("case_id", sa.String, nullable=False),
    sa.Column("repeat", sa.Integer, nullable=False),
    sa.Column("reviewer", sa.String, nullable=False),
    sa.Column("verdict", sa.String, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("expected", sa.JSON),
    sa.Column("supersedes", sa.String),
    sa.Column("at", sa.String, nullable=False),
)

baselines = sa.Table(
    "baselines",
    metadata,
    sa.Column("call", sa.String, primary_key=True),
    sa.Column("blessed_at", sa.String, primary_key=True),
    sa.Column("run_id", sa.ForeignKey("runs.run_id"), nullable=False),
)

call_records = sa.Table(
    "call_records",
    metadata,
    sa.Column("call_id", sa.String, primary_key=True),
    sa.Column("call", sa.String, nullable=False, index=True),
    sa.Column("at", sa.String, nullable=False),
    sa.Column("source", sa.String, nullable=False),
    sa.Column("outcome", sa.String, nullable=False),
    sa.Column("record", sa.JSON, nullable=False),
)
