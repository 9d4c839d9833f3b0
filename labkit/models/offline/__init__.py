"""The embedded model: an in-context nearest-example model, no key, no weights, no network.

``client`` is the seam; ``prompt_reader`` finds definitions, examples and the query in the messages (``query`` and
``notation`` know how people write them); ``filling`` turns a JSON Schema into a value with ``choice`` for labels,
``slots`` for spans of the query and ``scalars`` for the rest; ``similarity`` says what is near. Imports of labkit only
``errors`` and the protocol beside it.
"""
