"""A parent for tests: it starts the child that echoes, prints the child's number, and waits."""

import time

from flume.child_process import ChildProcess

if __name__ == "__main__":
    child = ChildProcess("support.children.echo")
    child.send(b"ready")
    assert child.receive(timeout_s=10)
    print(child.pid, flush=True)
    time.sleep(60)
