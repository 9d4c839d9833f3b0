"""Files that hold cases, in labkit's own words or in those of other tools.

    entry.py         one row of a file before it is a case, and where it stands
    choose.py        which reader and which vocabulary a file needs

    strict_json.py   JSON that says nothing twice
    json_lines.py    containers: JSON Lines,
    documents.py       JSON and YAML documents, with the line of each entry,
    tables.py          CSV, Parquet and frames, and labkit's columns in them

    promptfoo.py     vocabularies of others: promptfoo's tests,
    conversation.py    OpenAI evals' samples, Inspect's samples and logs

    plain.py         values of YAML, Parquet and frames as JSON data
    writing.py       the other way: cases into JSON Lines, CSV or Parquet

Readers give entries and name what they could not read by file and line; they know nothing of ``Case``. Nothing in a
file is evaluated, opened or used as a template.
"""
