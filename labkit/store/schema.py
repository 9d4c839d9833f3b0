"""The tables of a store, through SQLAlchemy Core so that SQLite and PostgreSQL share them."""

from __future__ import annotations

from sqlalchemy import JSON, Column, Float, ForeignKey, Integer, MetaData, String, Table

__all__ = ["VERSION", "baselines", "call_records", "metadata", "plan", "rows", "runs", "versions"]

VERSION = 1
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
)

plan = Table(
    "plan",
    metadata,
    Column("run_id", ForeignKey("runs.run_id"), primary_key=True),
    Column("case_id", String, primary_key=True),
    Column("repeat", Integer, primary_key=True),
    Column("position", Integer, nullable=False),
    Column("case", JSON, nullable=False),
)

rows = Table(
    "rows",
    metadata,
    Column("run_id", ForeignKey("runs.run_id"), primary_key=True),
    Column("case_id", String, primary_key=True),
    Column("repeat", Integer, primary_key=True),
    Column("finished_at", String, nullable=False),
    Column("status", String, nullable=False),
    Column("result", JSON, nullable=False),
    Column("scores", JSON, nullable=False),
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
