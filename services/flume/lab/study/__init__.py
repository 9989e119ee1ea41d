"""Studies: many runs over a matrix of networks and settings, what they show, and what changed between two runs.

::

    matrix.py     study.toml → the cells and their runs                                    pure
    figures       (flume.lab.trial) what is read from a report
    intervals.py  client-runs of a cell → mean and 95 % interval                            scipy
    compare.py    two reports, tolerances → what changed beyond noise                       pure
    state.py      which runs are done; a file that is whole at any time
    runner.py     runs what is not done; repeats a run whose link was out of tolerance
    page.py       study.html, study.csv
"""
