"""``flume watch`` with less patience for a silent server: fifteen seconds are a long time for a test.

``python -m support.clients.impatient_watch SECONDS ARGUMENT…``; the real program, with two constants changed.
"""

import sys

from flume.cli import main
from flume.client.session import control_link

if __name__ == "__main__":
    patience_s = float(sys.argv.pop(1))
    defaults = control_link.ControlLink.__init__.__kwdefaults__
    assert defaults is not None
    defaults["silence_s"] = patience_s
    control_link.USER_TIMEOUT_MS = round(patience_s * 1000)
    main()
