"""One guarded call, start to finish: with ``labkit.models``, the production runtime.

    guarded.py      GuardedCall, the object people make; definition.py checks and compiles its parts
    pipeline.py     the nine steps in order; trip.py is one call on its way, journal.py what happened to it
    inputs.py       1-2  the value enters, is normalized and validated
    context.py      3    trusted sources
    prompt.py       4    sandboxed templates
    transport.py    5    one completion: retry.py, breaker.py, hedge.py, spend.py, limiter.py, deadline.py bound it;
                         health.py is what the process knows of a model
    asking.py       5-7  ask, read, judge, re-ask
    outputs.py      6    text -> JSON that fits the schema, read by reading/; output_type.py validates it
    rules.py        7    guards, business rules, confidence; guards/ has the built-in ones
    record.py       8    one record per call; sinks.py says where it goes, write_behind.py brings it there; tally.py
                         counts who answered
    fallback.py     9    who answers when the main path could not
    cache.py             kept answers, in cache_sqlite.py or cache_redis.py; flight.py lets identical calls share one
    flags.py             kill switches and variants
    streaming.py         an answer while it is written; partial.py says what of it can be shown
    redaction.py         what must not be written down; telemetry.py tells OpenTelemetry the rest
    policy.py            all bounds of a call in one value
    bridge.py            sync calls on a loop thread

May import ``labkit.models`` and ``labkit.errors``. Nothing here knows runs, views or notebooks.
"""
