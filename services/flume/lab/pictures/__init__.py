"""How the pictures looked: each frame that could be decoded from what reached a client, beside the frame sent.

Offline, after a run, from its captures. :func:`~flume.lab.pictures.compare.compare` is the way in::

    captures ──▶ material ──▶ sent.ts, received.ts ──▶ decoding ──▶ which frames differ ──▶ scoring ──▶ figures
                  order, frames: pure                   ffmpeg                               ffmpeg       pure
"""
