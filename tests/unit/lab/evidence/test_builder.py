"""The facts of a tap, collected in any order."""

from flume.lab.evidence.builder import TapFactsBuilder
from flume.lab.evidence.facts import Command, Consent, ControlEnd, ControlStart, MediaDatagram, Refusal, Reply, Tap

CLIENT = ("198.18.0.11", 40000)
TAP = Tap("server", "eth0", "server.pcap", 2, 0, 262144, 1.0, 2.0, None)


def test_facts_come_out_in_the_order_of_time():
    builder = TapFactsBuilder()
    for time_s in (2.0, 1.0):
        builder.media.append(MediaDatagram(time_s, CLIENT, CLIENT, b"", None, None, 1, 0))
        builder.starts.append(ControlStart(time_s, CLIENT))
        builder.messages.append(Command(time_s, CLIENT, "status"))
        builder.ends.append(ControlEnd(time_s, CLIENT, by_server=False))
        builder.consents.append(Consent(time_s, CLIENT, b""))
        builder.refusals.append(Refusal(time_s, CLIENT))
    builder.sources.add(CLIENT[0])
    builder.batches += 1
    facts = builder.build(TAP)
    for kind in (facts.media, facts.starts, facts.messages, facts.ends, facts.consents, facts.refusals):
        assert [fact.time_s for fact in kind] == [1.0, 2.0]
    assert (facts.tap, facts.sources, facts.batches) == (TAP, frozenset({CLIENT[0]}), 1)


def test_messages_of_one_time_keep_their_order():
    builder = TapFactsBuilder()
    builder.messages += (
        Reply(1.0, CLIENT, "interrupt"),
        Reply(1.0, CLIENT, "continue"),
        Command(1.0, CLIENT, "status"),
    )
    assert builder.build(TAP).messages == tuple(builder.messages)
