"""Scorers: what is looked at in an answer, and whether it is as wanted.

score.py          Score, the Scorer protocol, functions as scorers
match.py          an answer, or a field of it, equals what is expected
field_match.py    how many of the expected fields are equal
number_match.py   a number within a tolerance
text_match.py     a text that holds a pattern, or is near enough to another
set_match.py      a list as a set: precision, recall, F1
path_match.py     what a JSONPath finds in the answer
checks.py         the checks that a case brings along
patterns.py       a pattern in a text, bounded in length and in time
judge.py          a model judges an answer by a rubric
pairwise.py       a model says which of two answers is better, asked in both orders
json_values.py    when two JSON values are equal, and how one is shown in a reason
"""
