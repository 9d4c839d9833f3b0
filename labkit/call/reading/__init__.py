"""How an answer is read that is not quite JSON, or not quite the JSON that was asked for.

    candidates.py   where in a text a value may stand, best first
    lenient.py      JSON as models write it: comments, bare words, quotes within quotes, ends that are missing
    align.py        a value as the schema means it; every liberty that was taken is a Repair with its cost
    labels.py       which label a text means
    numbers.py      which number a text means

``labkit.call.outputs.read`` is the way in. Standard library only, and time that grows with the text and no faster.
"""
