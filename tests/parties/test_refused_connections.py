"""What a party refuses to whoever connects: the log has it, people see it, and a flood fills neither."""

from __future__ import annotations

from quatrefoil.audit import MemoryLog
from quatrefoil.errors import ChannelRefused, HostError, MessageRefused
from quatrefoil.parties.refusals import Refusals


class Seconds:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_refused_connection_is_logged_and_shown(capsys):
    log = MemoryLog()
    Refusals(log).connection("192.0.2.1:5", ChannelRefused("offers only classical key exchange", hint="Upgrade"))
    (entry,) = log.entries()
    assert entry.body == {"address": "192.0.2.1:5", "reason": "offers only classical key exchange"}
    assert capsys.readouterr().err == "refused 192.0.2.1:5: offers only classical key exchange. Upgrade\n"


def test_a_flood_of_refused_connections_does_not_fill_the_log(capsys):
    log, clock = MemoryLog(), Seconds()
    refusals = Refusals(log, clock)
    for _ in range(1000):
        refusals.connection("192.0.2.1:5", ChannelRefused("x", hint="y"))
    assert len(list(log.entries())) == len(capsys.readouterr().err.splitlines()) == Refusals.MOST_A_MINUTE
    clock.now = 61
    refusals.connection("192.0.2.1:6", ChannelRefused("x", hint="y"))
    *_, last = log.entries()
    assert last.body["left_out"] == 1000 - Refusals.MOST_A_MINUTE
    refusals.connection("192.0.2.1:7", ChannelRefused("x", hint="y"))
    *_, last = log.entries()
    assert "left_out" not in last.body


def test_a_log_that_takes_nothing_more_is_said_and_stops_no_server(capsys):
    class Full(MemoryLog):
        def append(self, kind, body, attached=None):
            raise HostError("the log's disk is full", hint="Free space")

    Refusals(Full()).connection("192.0.2.1:5", ChannelRefused("x", hint="y"))
    assert "the log's disk is full. Free space" in capsys.readouterr().err


def test_a_refused_question_is_shown_with_who_asked(capsys):
    Refusals(MemoryLog()).question("bari", MessageRefused("bari contributes twice", hint="Leave it"))
    assert capsys.readouterr().err == "bari was refused: bari contributes twice. Leave it\n"
