"""All entries, by kind."""

from sources.catalogue import clocks, identity, joining, playlists, promises, slow_pictures, tracks, transcoded, works

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
)
