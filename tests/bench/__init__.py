"""Measures what it costs to send one stream to many hosts: flume's server and other senders, in one run.

``make bench``, or ``PYTHONPATH=services:tests .venv/bin/python -m bench``. See README.md in this folder.
"""
