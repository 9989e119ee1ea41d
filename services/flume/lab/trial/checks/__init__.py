"""The checks of the judge: one function each, which says in its docstring what the check proves.

A docstring of a check is also its entry in ``docs/judge.md``, so it has a form: what it proves, then paragraphs that
begin with ``FAIL:``, ``ERROR:`` and ``Next:`` (what the reader of a report does then). :mod:`.description` reads it.
"""
