"""The SDP: no title adds a line, and a film has an end."""

from hypothesis import given
from hypothesis import strategies as st

from flume.control.rtsp.description import describe


@given(st.text(max_size=300))
def test_no_title_adds_a_line(title: str):
    lines = describe(title=title, host="198.18.0.2", version=1, seconds=None).decode().split("\r\n")
    assert [line[:2] for line in lines] == ["v=", "o=", "s=", "c=", "t=", "a=", "a=", "a=", "m=", "a=", "a=", ""]
    assert all(line.isprintable() for line in lines)
    assert len(lines[2]) > len("s=")


def test_a_film_has_an_end_and_an_address_of_ipv6_its_family():
    written = describe(title="film", host="fe80::1%eth0", version=3, seconds=5.5).decode()
    assert "a=range:npt=0-5.500\r\n" in written
    assert "o=- 3 3 IN IP6 fe80::1\r\n" in written
