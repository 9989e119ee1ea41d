"""The packages of Debian from which libvlc comes, for messages."""

INSTALL_VLC = "apt-get install --no-install-recommends libvlc5 vlc-plugin-base libvlc-bin"
INSTALL_WINDOW = "apt-get install --no-install-recommends vlc-plugin-video-output"
