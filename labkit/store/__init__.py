"""Where runs, call records and baselines are kept: SQLite by default.

    schema.py     the tables and their version
    database.py   opening a store: pragmas, version check, clear errors
    runs.py       runs, their plan, their rows, baselines
    records.py    call records as a sink: LABKIT_RECORDS=sqlite:///PATH

May import ``labkit.call`` and below. It knows rows of JSON, not cases or scorers: those belong to ``labkit.evals``.
"""
