"""The tables of a store, through SQLAlchemy Core so that SQLite and PostgreSQL share them.

A unit is one case and repeat of a run, known by its place in the run's plan. What a comparison needs of a unit stands
in narrow columns of ``rows``; what a person looks at one by one, the whole result, stands apart in ``answers``. So the
comparison of two runs of 100,000 rows reads megabytes, not gigabytes.
"""

from __future__ import annotations

from sqlalchemy import JSON, Column, Float, ForeignKey, Index, Integer, MetaData, SmallInteger, String, Table, Text

__all__ = [
    "VERSION", "answers", "baselines", "call_records", "cases", "metadata", "plan", "reviews", "rows", "runs",
    "starts", "versions",
]  # fmt: skip

VERSION = 2
"""Raised with every change of the tables; a store made by a later labkit is refused, not guessed at."""

metadata = MetaData()

versions = Table("labkit_version", metadata, Column("version", Integer, primary_key=True))

runs = Table(
    "runs",
    metadata,
    Column("run_id", String, primary_key=True),
    Column("call", String, nullable=False, index=True),
    Column("started_at", String, nullable=False),
    Column("finished_at", String),
    Column("elapsed_s", Float),
    Column("about", JSON, nullable=False),
    Column("summary", JSON),
)

# Content by its own hash: runs over one dataset share it.
cases = Table("cases", metadata, Column("digest", String, primary_key=True), Column("content", Text, nullable=False))

plan = Table(
    "run_units",
    metadata,
    Column("run_id", ForeignKey("runs.run_id"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("case_id", String, nullable=False),
    Column("repeat", Integer, nullable=False),
    Column("digest", ForeignKey("cases.digest"), nullable=False),
    Column("case_hash", String, nullable=False),
    Column("tags", Text, nullable=False),
    Column("cluster", String),
    Column("weight", Float, nullable=False),
    Index("unit_of_run", "run_id", "case_id", "repeat", unique=True),
    sqlite_with_rowid=False,
)

# Written before a request goes out: after a crash they say what may have been billed and is not in any row.
starts = Table(
    "request_starts",
    metadata,
    Column("run_id", ForeignKey("runs.run_id"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("session", String, primary_key=True),
    Column("n", Integer, primary_key=True, autoincrement=False),
    Column("started_at", String, nullable=False),
    Column("model", String, nullable=False),
    sqlite_with_rowid=False,
)

rows = Table(
    "run_rows",
    metadata,
    Column("run_id", ForeignKey("runs.run_id"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("status", String, nullable=False),
    Column("source", String, nullable=False),
    Column("passed", SmallInteger),
    Column("degraded", SmallInteger, nullable=False),
    Column("schema_valid", SmallInteger, nullable=False),
    Column("elapsed_s", Float, nullable=False),
    Column("cost_usd", Float),
    Column("requests", Integer, nullable=False),
    sqlite_with_rowid=False,
)

answers = Table(
    "answers",
    metadata,
    Column("run_id", ForeignKey("runs.run_id"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("finished_at", String, nullable=False),
    Column("worker", String, nullable=False),
    Column("result", Text, nullable=False),
    Column("scores", Text, nullable=False),
)

# Append-only: a changed mind is a new review that names the one it supersedes.
reviews = Table(
    "reviews",
    metadata,
    Column("review_id", String, primary_key=True),
    Column("run_id", ForeignKey("runs.run_id"), nullable=False, index=True),
    Column("case_id", String, nullable=False),
    Column("repeat", Integer, nullable=False),
    Column("reviewer", String, nullable=False),
    Column("verdict", String, nullable=False),
    Column("note", Text, nullable=False),
    Column("expected", JSON),
    Column("supersedes", String),
    Column("at", String, nullable=False),
)

baselines = Table(
    "baselines",
    metadata,
    Column("call", String, primary_key=True),
    Column("blessed_at", String, primary_key=True),
    Column("run_id", ForeignKey("runs.run_id"), nullable=False),
)

call_records = Table(
    "call_records",
    metadata,
    Column("call_id", String, primary_key=True),
    Column("call", String, nullable=False, index=True),
    Column("at", String, nullable=False),
    Column("source", String, nullable=False),
    Column("outcome", String, nullable=False),
    Column("record", JSON, nullable=False),
)
