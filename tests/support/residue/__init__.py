"""What is on a machine before and after: the difference is what a run has left.

By hand, from the top of the checkout, as root (other users are not shown the rules of the firewall; the comparison says
so, with status 2)::

    PYTHONPATH=services:tests .venv/bin/python -m support.residue >before.json
    make lab; make down
    PYTHONPATH=services:tests .venv/bin/python -m support.residue before.json
"""
