"""Where runs, call records and baselines are kept: SQLite by default.

    schema.py     the tables and their version
    database.py   opening a store: pragmas, version check, clear errors
    runs.py       runs, their plan, their rows, baselines
    reviews.py    what people said of answers
    batches.py    many rows in handfuls
    exports.py    rows as JSON Lines or Parquet
    facts.py      a row in brief, and what a run comes to
    journal.py    rows written in groups while an evaluation runs
    migrations.py bringing older tables up to date
    records.py    call records as a sink: LABKIT_RECORDS=sqlite:///PATH

May import ``labkit.call`` and below. It knows rows of JSON, not cases or scorers: those belong to ``labkit.evals``.
"""
