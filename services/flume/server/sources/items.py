"""One item to play: a file or an address, with what is known of it before it is opened.

Paths are text as Python has them from the system: a byte that is not UTF-8 is a surrogate escape (PEP 383). So each
file that exists can be named, and :attr:`Item.location_bytes` has its name as the file system has it. What people read
(:attr:`Item.name`, :attr:`Item.shown`) goes through :func:`printable`, and has no password in it.
"""

import os
import re
import stat
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from flume.errors import SourceError
from flume.secret import hide_secrets, hide_values
from flume.server.sources.suffixes import kind_of

FILE_SCHEMES = frozenset({"http", "https", "ftp", "ftps", "sftp", "smb"})
"""Schemes by which both files and live streams come. Any other scheme is live."""

HTTP_SCHEMES = frozenset({"http", "https"})
"""A web server can redirect to ``file://``, which libvlc follows. So libvlc opens such an address only where the user
asks for libvlc; FFmpeg obeys a list of the protocols that an item may lead to."""

V4L2_MAJOR = 81
"""The major number of cameras and tuners (Linux, ``Documentation/admin-guide/devices.txt``)."""

SHOWN_LENGTH = 200
"""Most characters of a name in logs and ``status``. A file name has at most 255 bytes, an address any number."""

MAX_ADDRESS = 8192
"""Longest address. Web servers take no longer ones either."""

_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_FIRST_SURROGATE, _LAST_SURROGATE = "\ud800", "\udfff"
_SCHEME = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]+)://")
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_KEPT_IN_ADDRESSES = "%/:?#[]@!$&'()*+,;=~-._"


class Item(NamedTuple):
    """One playlist item.

    >>> Item("clip", "/videos/caf\\udce9.mp4", is_path=True, live=False).location_bytes
    b'/videos/caf\\xe9.mp4'
    """

    name: str
    """For logs and ``status``: the title of a playlist, else the file name or the address without its password."""
    location: str
    """An absolute path (*is_path*) or an address."""
    is_path: bool
    live: bool | None = None
    """Whether the item continues while it is not read, like a camera; ``None``: only the item itself can say."""
    options: tuple[str, ...] = ()
    """Options of a playlist that apply and are safe, as ``name=value``; see :mod:`.playlists.options`."""
    is_picture: bool = False
    """Whether its suffix is that of a still picture."""
    problem: str = ""
    """Why it cannot be played, as far as that was known when it was expanded: the end of a sentence."""

    @property
    def location_bytes(self) -> bytes:
        """The path as the file system has it, or the address in UTF-8."""
        return os.fsencode(self.location) if self.is_path else self.location.encode(errors="surrogateescape")

    @property
    def scheme(self) -> str:
        """The scheme of its address in small letters; empty for a path. All decisions on an item use this one."""
        return "" if self.is_path else scheme_of(self.location)

    @property
    def is_web(self) -> bool:
        """Whether it is an address of the web."""
        return self.scheme in HTTP_SCHEMES

    @property
    def shown(self) -> str:
        """Where it is, for people: the whole path, or the address without its password."""
        return printable(self.location) if self.is_path else shown_address(self.location)


class UnplayableError(SourceError):
    """A source or an entry gives no items. *predicate* is the end of the sentence that *subject* begins.

    It may quote what another program said, so the secrets of addresses are taken out.
    """

    def __init__(self, subject: str, predicate: str, *, kind: str = "") -> None:
        """Name the *subject*, a path or an address; *kind* is what it is, such as "the playlist"."""
        predicate = hide_secrets(predicate, subject)
        self.subject, self.predicate = subject, predicate
        shown = shown_address(subject) if scheme_of(subject) else printable(subject)
        super().__init__(f"{kind} {shown} {predicate}".lstrip())


def printable(text: str) -> str:
    """Return *text* on one line, for people; what cannot be shown is the replacement character.

    >>> printable("caf\\udce9\\n.mp4")
    'caf��.mp4'
    """
    text = text[: SHOWN_LENGTH - 1] + "…" if len(text) > SHOWN_LENGTH else text
    return text if text.isprintable() else "".join("�" if _is_hidden(character) else character for character in text)


def _is_hidden(character: str) -> bool:
    """Whether *character* would break a line, a terminal or an encoder, or turn the text that follows around."""
    return (
        character < " "
        or "\x7f" <= character <= "\x9f"
        or character in "\u2028\u2029"
        or character in _BIDI
        or _FIRST_SURROGATE <= character <= _LAST_SURROGATE
    )


def scheme_of(source: str) -> str:
    """Return the scheme of an address in small letters; empty if *source* is a path.

    >>> scheme_of("RTSP://camera/1"), scheme_of("12:30.mp4")
    ('rtsp', '')
    """
    match = _SCHEME.match(source)
    return match[1].lower() if match else ""


def shown_address(address: str) -> str:
    """Return *address* for people, without passwords and tokens. Text that is no address stays as it is.

    >>> shown_address("srt://user:secret@host:9000?passphrase=secret")
    'srt://host:9000?passphrase=…'
    """
    scheme, mark, rest = address.partition("://")
    if not mark:
        return printable(address)
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    user = authority.rpartition("@")[0]
    if user:  # an empty one ("@") makes libvlc listen here
        rest = rest[len(user) + 1 :]
    return printable(f"{scheme}://{hide_values(rest[: 2 * SHOWN_LENGTH])}")


def file_item(path: Path, *, title: str = "", options: tuple[str, ...] = ()) -> Item:
    """Return the item of the file at *path*, which is absolute."""
    return Item(
        shown_address(title) or printable(path.name),
        str(path),
        is_path=True,
        live=False,
        options=options,
        is_picture=kind_of(path.name) == "picture",
    )


def address_item(address: str, *, title: str = "", options: tuple[str, ...] = ()) -> Item:
    """Return the item of *address*; raises :class:`UnplayableError` if it is none."""
    address = encoded_address(address)
    scheme = scheme_of(address)
    return Item(
        shown_address(title) or shown_address(address),
        address,
        is_path=False,
        live=None if scheme in FILE_SCHEMES else True,
        options=options,
        is_picture=kind_of(urlsplit(address).path) == "picture",
    )


def encoded_address(address: str) -> str:
    """Return *address* as it can be sent: HTTP allows neither spaces nor letters outside ASCII, and has no fragments.

    Raises :class:`UnplayableError` if it is no address.

    >>> encoded_address("http://host/a film.mp4#t=10")
    'http://host/a%20film.mp4'
    """
    address = address.strip()
    if len(address) > MAX_ADDRESS:
        raise UnplayableError(address, f"is no address: it has more than {MAX_ADDRESS} characters")
    try:
        parts = urlsplit(address)
        port = "" if parts.port is None else f":{parts.port}"
        if parts.scheme.lower() not in HTTP_SCHEMES:
            return address
        user, at, _ = parts.netloc.rpartition("@")
        if parts.hostname and not parts.hostname.isascii():
            parts = parts._replace(netloc=f"{user}{at}{parts.hostname.encode('idna').decode()}{port}")
        whole = _STRAY_PERCENT.sub("%25", parts._replace(fragment="").geturl())
        return quote(whole.encode(errors="surrogateescape"), safe=_KEPT_IN_ADDRESSES)
    except ValueError as error:
        raise UnplayableError(address, "is no address: check its spelling") from error


def problem_of(item: Item) -> str | None:
    """Return why *item* cannot be read now, as far as that is known before it is opened; ``None``: no reason found.

    It is the end of a sentence that :attr:`Item.shown` begins. It never waits.
    """
    return item.problem or (problem_of_file(Path(item.location)) if item.is_path else None)


def problem_of_file(path: Path) -> str | None:
    """Return why the file at *path* cannot be read now, as the end of a sentence."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return _problem_of_link(path) or "does not exist: check the path"
    except (OSError, ValueError) as error:
        return f"cannot be examined ({reason_of(error)}): check the path and its permissions"
    if not stat.S_ISREG(found.st_mode):
        return _problem_of_special(found)
    if found.st_size == 0:
        return "is empty (0 bytes): did a copy or a recording fail?"
    if not os.access(path, os.R_OK):
        return "may not be read by this user: change its permissions"
    return None


def _problem_of_link(path: Path) -> str | None:
    try:
        target = path.readlink()
    except OSError:
        return None
    shown = printable(str(target))
    return f"is a link to {shown}, which does not exist: correct the link, or mount the folder that it points into"


def _problem_of_special(found: os.stat_result) -> str:
    mode = found.st_mode
    if stat.S_ISFIFO(mode):
        return "is a named pipe, neither a file nor a folder: let its writer send to udp://127.0.0.1:9000 and name that"
    if stat.S_ISCHR(mode):
        return "is a device that gives no video: name a camera, such as /dev/video0"
    if stat.S_ISBLK(mode):
        return "is a disk, neither a file nor a folder: mount it, and name a video file on it"
    return "is neither a file nor a folder: name a video file"


def is_camera(found: os.stat_result) -> bool:
    """Whether *found* describes a device of Video4Linux, which libvlc opens as ``v4l2://``."""
    return stat.S_ISCHR(found.st_mode) and os.major(found.st_rdev) == V4L2_MAJOR


def reason_of(error: OSError | ValueError) -> str:
    """Return in a few words why a call of the file system failed."""
    return (error.strerror if isinstance(error, OSError) else None) or printable(str(error)) or type(error).__name__
