"""SQLAlchemy, met in this one place: whoever needs it says so, and importing labkit does not."""

from labkit.extras import needs

with needs("sqlalchemy", "a store of runs"):
    import sqlalchemy as sa
    from sqlalchemy.dialects.postgresql import insert as insert_postgresql
    from sqlalchemy.dialects.sqlite import insert as insert_sqlite

__all__ = ["insert_postgresql", "insert_sqlite", "sa"]
