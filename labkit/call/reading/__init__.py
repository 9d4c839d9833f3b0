"""How an answer is read that is not quite JSON, or not quite the JSON that was asked for.

    tags.py         the tags around what a model thought aloud
    reasoning.py    a text without that
    candidates.py   where in a text a value may stand: everywhere
    lenient.py      JSON as models write it: comments, bare words, quotes within quotes, ends that are missing
    json_text.py    numbers that remember their characters
    align.py        a value as the schema means it; every liberty that was taken is a Repair with its cost
    labels.py       which label a text means
    numbers.py      which number a text means
    validity.py     whether a value is what a schema says, keyword by keyword
    references.py   what a reference in a schema refers to
    fault.py        what is wrong with a value, and where

``labkit.call.outputs.read`` is the way in. Standard library and pydantic's regular expressions. Its time grows with
the text and no faster.
"""
