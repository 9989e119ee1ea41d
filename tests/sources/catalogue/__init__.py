"""All entries, by kind."""

from sources.catalogue import (
    changes,
    clocks,
    formats,
    identity,
    joined,
    joining,
    other_pids,
    playlists,
    promises,
    slow_pictures,
    tracks,
    transcoded,
    works,
)

ENTRIES = (
    *works.ENTRIES,
    *tracks.ENTRIES,
    *transcoded.ENTRIES,
    *slow_pictures.ENTRIES,
    *clocks.ENTRIES,
    *joining.ENTRIES,
    *identity.ENTRIES,
    *playlists.ENTRIES,
    *promises.ENTRIES,
    *formats.ENTRIES,
    *joined.ENTRIES,
    *changes.ENTRIES,
    *other_pids.ENTRIES,
)
