"""Who may come in, in one value."""

from typing import NamedTuple

from flume.server.access.certificates import Certificates
from flume.server.access.logins import Logins
from flume.server.access.networks import NetworkRules
from flume.settings import ServerSettings


class Access(NamedTuple):
    """What a front asks before it opens a session."""

    networks: NetworkRules
    certificates: Certificates | None = None
    """The server's; ``None``: control is not encrypted."""
    logins: Logins | None = None
    """``None``: no login is needed."""


def access_of(settings: ServerSettings) -> Access:
    """Return what *settings* say; raises :class:`SettingsError` for files that are not as they must be."""
    certificate = settings.tls_certificate
    return Access(
        networks=NetworkRules(allow=settings.allow, deny=settings.deny),
        certificates=None if certificate is None else Certificates(certificate, settings.tls_key),
        logins=None if settings.users is None else Logins(settings.users),
    )
