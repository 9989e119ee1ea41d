"""The thresholds as JUnit XML, for CI systems: a test case each for every stream, and one for the input."""

from pathlib import Path

from junitparser import Error, Failure, JUnitXml, TestCase, TestSuite

from flume.errors import CaptureError
from flume.inspect.measure_names import MEASURES
from flume.inspect.thresholds import Threshold
from flume.inspect.values import Inspection


def junit(inspection: Inspection, thresholds: list[Threshold]) -> bytes:
    """Return the file's content: failures are passed thresholds, errors what could not be judged."""
    suite = TestSuite("flume inspect")
    if inspection.started is not None:
        suite.timestamp = inspection.started
    case = TestCase(name="input", classname=inspection.input)
    if inspection.problems:
        case.result = [Error("; ".join(inspection.problems))]
    suite.add_testcase(case)
    for threshold, result in zip(thresholds, inspection.thresholds, strict=True):
        if not result.judged:
            case = TestCase(name=threshold.text, classname=inspection.input)
            case.result = [Error("no stream has this measure")]
            suite.add_testcase(case)
        for stream in inspection.streams:
            value = MEASURES[threshold.measure].value(stream)
            if value is None:
                continue
            case = TestCase(name=threshold.text, classname=f"{inspection.input}.stream {stream.number}")
            if stream.number in result.passed_by:
                case.result = [Failure(f"{threshold.measure} is {value:g}")]
            suite.add_testcase(case)
    document = JUnitXml()
    document.add_testsuite(suite)
    content: bytes | str = document.tostring()  # type: ignore[no-untyped-call]
    return content if isinstance(content, bytes) else content.encode()


def write_junit(inspection: Inspection, thresholds: list[Threshold], path: Path) -> None:
    """Write the file *path*. Raises :class:`CaptureError` when it cannot be written."""
    try:
        path.write_bytes(junit(inspection, thresholds))
    except OSError as error:
        raise CaptureError(f"{path} cannot be written: {error.strerror}") from error
