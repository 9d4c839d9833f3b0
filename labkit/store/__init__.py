"""Where runs, call records and baselines are kept: SQLite by default.

    places.py     which store: what was given, LABKIT_STORE, or the project's own labkit.db
    opening.py    a store for whoever has one, its address, or nothing
    version.py    whose a file is, and which labkit made it
    sql.py        SQLAlchemy, which an extra brings
    schema.py     the tables
    database.py   opening them: to write or to read, clear errors
    migrations.py bringing older tables up to date
    runs.py       runs, their plan, their rows, baselines
    units.py      what those are made of
    facts.py      a row in brief, and what a run comes to
    briefs.py     those rows, read 100,000 at a time
    reviews.py    what people said of answers
    damage.py     what cannot be read
    batches.py    many rows in handfuls
    exports.py    rows as JSON Lines or Parquet
    journal.py    rows written in groups while an evaluation runs
    records.py    call records as a sink, LABKIT_RECORDS=sqlite:///PATH, by the standard library alone
    records_shared.py  the same in PostgreSQL

May import ``labkit.call`` and below. It knows rows of JSON, not cases or scorers: those belong to ``labkit.evals``.
"""
