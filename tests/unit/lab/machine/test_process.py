"""Waiting for a condition, and what is quoted of a program's output."""

from pathlib import Path

from flume.lab.machine.process import last_line, one_line, tail, wait_until


def test_waiting_ends_in_time() -> None:
    """For a condition that stays false it returns after the timeout."""
    assert wait_until(lambda: True, timeout_s=0)
    assert not wait_until(lambda: False, timeout_s=0.05, interval_s=0.01)


def test_output_is_quoted_on_one_line_of_bounded_length() -> None:
    """An error message is one line, however much the program wrote."""
    assert one_line("no such file\n\n  or directory\n") == "no such file or directory"
    assert one_line("x" * 1000) == "x" * 300
    assert last_line("first\n last \n\n") == "last"
    assert last_line("\n") == "no message"


def test_the_end_of_a_log_is_read_and_an_absent_log_is_empty(tmp_path: Path) -> None:
    """Only the last bytes of a log that may be large."""
    (tmp_path / "log").write_text("a" * 5000 + "end")
    assert tail(tmp_path / "log", 5) == "aaend"
    assert tail(tmp_path / "absent") == ""
