"""When a server ends, and why."""

import asyncio

from flume.server.ending import Ending


def test_a_stop_that_was_asked_for_has_no_other_reason():
    async def main() -> None:
        ending = Ending()
        assert not ending.is_asked
        ending.stop()
        ending.stop()
        await asyncio.wait_for(ending.wait(), 5)
        assert (ending.source_ended, ending.failed) == (None, None)

    asyncio.run(main())


def test_the_first_fault_is_kept_and_beside_it_the_end_of_the_source():
    ending = Ending()
    ending.on_source_ended("all was played")
    ending.fail("first")
    ending.fail("second")
    assert ending.is_asked
    assert (ending.source_ended, ending.failed) == ("all was played", "first")
