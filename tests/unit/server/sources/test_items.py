"""What people read of an item has no password, fits on a line and can be encoded; what is opened is unchanged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flume.server.sources.items import (
    MAX_ADDRESS,
    SHOWN_LENGTH,
    UnplayableError,
    address_item,
    encoded_address,
    printable,
    shown_address,
)

any_text = st.text(st.characters(codec=None, exclude_categories=()))


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://user:secret@camera:554/1", "rtsp://camera:554/1"),
        ("rtsp://user:se@cret@camera/1", "rtsp://camera/1"),
        ("rtp://@239.1.2.3:5004", "rtp://@239.1.2.3:5004"),
        ("http://host/a@b?c@d", "http://host/a@b?c@d"),
        (
            "http://host/get.php?username=me&password=secret&type=m3u",
            "http://host/get.php?username=me&password=…&type=m3u",
        ),
        ("https://host/x?access_token=secret#part", "https://host/x?access_token=…#part"),
        ("srt://host:9000?mode=caller&passphrase=secret", "srt://host:9000?mode=caller&passphrase=…"),
        ("an ordinary title", "an ordinary title"),
    ],
)
def test_passwords_are_not_shown(address: str, shown: str) -> None:
    assert shown_address(address) == shown


@pytest.mark.parametrize(
    ("address", "encoded"),
    [
        ("http://host/a film.mp4", "http://host/a%20film.mp4"),
        ("http://host/a%20film 100%.mp4", "http://host/a%20film%20100%25.mp4"),
        ("http://host/caf\udce9", "http://host/caf%E9"),
        ("http://host/café?x=[1]|2", "http://host/caf%C3%A9?x=[1]%7C2"),
        ("http://u:p@bücher.example:81/a#part", "http://u:p@xn--bcher-kva.example:81/a"),
        (" HTTP://[::1]:8080/a ", "http://[::1]:8080/a"),
        ("rtsp://camera/a b#c", "rtsp://camera/a b#c"),
    ],
)
def test_addresses_are_encoded_as_http_wants_them(address: str, encoded: str) -> None:
    assert encoded_address(address) == encoded


@pytest.mark.parametrize(
    "address", ["http://[::1", "http://host:99999/", "http://host:x/", "http://h/" + "x" * MAX_ADDRESS]
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(UnplayableError, match="is no address"):
        address_item(address)


@given(any_text)
def test_printable_text_is_one_short_line_that_can_be_encoded(text: str) -> None:
    shown = printable(text)
    assert len(shown) <= SHOWN_LENGTH
    assert shown.encode().decode() == shown
    assert len(shown.splitlines()) <= 1
    assert not any(character < " " for character in shown)


@given(any_text)
def test_an_address_of_any_text_is_an_item_or_refused(text: str) -> None:
    for source in (text, f"http://{text}", f"http://host/{text}", f"rtsp://{text}"):
        try:
            item = address_item(source)
        except UnplayableError:
            continue
        assert item.name.encode() is not None
        if source.startswith("http"):
            assert item.location.isascii()
            assert " " not in item.location
