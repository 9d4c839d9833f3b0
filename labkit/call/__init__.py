"""One guarded call, start to finish: with ``labkit.models``, the production runtime.

    guarded.py      GuardedCall, the object people make
    pipeline.py     the nine steps in order
    inputs.py       1-2  the value enters, is normalized and validated
    context.py      3    trusted sources
    prompt.py       4    sandboxed templates
    asking.py       5-7  ask, read, judge; retries and re-asks
    outputs.py      6    text -> JSON that fits the schema; output_type.py validates it
    rules.py        7    guards, business rules, confidence
    record.py       8    one record per call
    fallback.py     9    who answers when the main path could not

May import ``labkit.models`` and ``labkit.errors``. Nothing here knows runs, views or notebooks.
"""
