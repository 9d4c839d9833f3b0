"""Running a notebook without anybody at the keys, and judging whether it really ran and what it found.

notebook.py   run a notebook to its end, or say where it stopped
parameters.py which parameters it has
kernel.py     which kernel runs it
hiding.py     passwords that it was given and must not leave behind
execution.py  one execution with papermill's parts
engine.py     what papermill's own engine does not see: failed tasks, progress
night.py      the verdict of an evaluation notebook as an exit code
notify.py     word of it to whoever should know
"""

from labkit.scheduled.notebook import NotebookFailed, NotebookRun, run_notebook

__all__ = ["NotebookFailed", "NotebookRun", "run_notebook"]
