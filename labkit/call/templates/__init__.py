"""Templates that hold: they see data and nothing that acts, and they end by themselves.

data.py         what a template sees of an input, of a context and of values
budget.py       how much a rendering may take, and how heavy a value is
operations.py   what a template may do with text, numbers, lists and mappings: methods, filters, tests, operators
places.py       where pictures and documents go
environment.py  the language: which nodes there are, what is counted, what may be called

May import ``labkit.errors``, ``labkit.models`` and its own files; ``labkit.call.prompt`` is what uses it.
"""
