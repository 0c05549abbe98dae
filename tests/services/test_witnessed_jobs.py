"""Silos as witnesses of the aggregator's log, over channels: what is cosigned when, under a quorum and without one."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from loopback import Loopback, RunningSilo, ask

from identities import identity, speaking_as
from quatrefoil.audit import PartyLog, ownership
from quatrefoil.audit.log import LOG_FOLDER, WITNESSED
from quatrefoil.audit.witnesses import WitnessStatement, cosigners, key_in, read_witnessed, said, verify
from quatrefoil.errors import EvidenceRejected, MessageRefused, PolicyError
from quatrefoil.federation import parts
from quatrefoil.federation.agreement import AgreedJob
from quatrefoil.federation.cosigning import Cosigning
from quatrefoil.state import MemoryState
from quatrefoil.tlog import read_checkpoint
from quatrefoil.tlog.evidence import Evidence
from quatrefoil.tlog.tiles import CHECKPOINT
from quatrefoil.transport import statement
from witnesses import TRUST, Witnesses, cosign, cosigning_of, hub_log, meet, second_log, signer
from world import NAMES, World

run = asyncio.run


def world_with(log_folder: Path, quorum: int = 3, rounds: int = 2) -> World:
    world = World(limits={"witnesses": quorum}, rounds=rounds)
    world.logs["hub"] = hub_log(log_folder, world)
    world.enrolments = world.make_enrolments()
    return world


def audited(folder: Path, world: World) -> PartyLog:
    return PartyLog.in_folder(folder / LOG_FOLDER, TRUST, clock=world.clock)


def known_witnesses(log: PartyLog, world: World):
    entries = [entry for entry in log.entries() if entry.kind == "witness"]
    return [verify(log.payload("statement", e.attached["statement"]), TRUST, clock=world.clock) for e in entries]


def running(hub: Loopback, witnesses: Witnesses, *names: str) -> dict[str, RunningSilo]:
    return {name: hub.silo(name, witness=witnesses[name]) for name in names or hub.world.names}


async def whole_job(world: World, witnesses: Witnesses) -> Loopback:
    async with Loopback(world, cosigning=cosigning_of(world, world.logs["hub"])) as hub:
        silos = running(hub, witnesses)
        await hub.finished()
        for silo in silos.values():
            await silo.result()
    return hub


def test_every_round_is_cosigned_and_the_last_checkpoint_has_the_quorum(tmp_path: Path) -> None:
    world = world_with(tmp_path)
    witnesses = Witnesses(world)
    run(whole_job(world, witnesses))
    world.logs["hub"].close()
    log = audited(tmp_path, world)
    entries = list(log.entries())
    known = known_witnesses(log, world)
    assert sorted(one.name for one in known) == sorted(NAMES)
    (cosigned,) = [entry for entry in entries if entry.kind == "cosigned"]  # the last round's is under the checkpoint
    assert cosigned.body["round"] == 1 and cosigned.body["witnesses"] == sorted(NAMES)
    first = read_witnessed(log.payload("checkpoint", cosigned.attached["checkpoint"]), log.owner, known)
    assert cosigners(first, known) == tuple(sorted(NAMES))
    content = (tmp_path / LOG_FOLDER / WITNESSED).read_bytes()
    last = read_witnessed(content, log.owner, known)
    assert cosigners(last, known) == tuple(sorted(NAMES))
    finished = [entry.index for entry in entries if entry.kind == "round-finished"]
    assert finished[-1] < last.checkpoint.size and finished[0] < first.checkpoint.size <= finished[-1]
    assert log.reader.root_at(last.checkpoint.size) == last.checkpoint.root
    assert (tmp_path / LOG_FOLDER / CHECKPOINT).read_bytes() == content  # nothing was logged since
    for name in NAMES:
        seen = [entry.body["size"] for entry in witnesses.logged(name, "witnessed")]
        assert seen == [first.checkpoint.size, last.checkpoint.size]


def test_without_a_quorum_what_comes_is_cosigned_all_the_same(tmp_path: Path) -> None:
    world = world_with(tmp_path, quorum=0)
    witnesses = Witnesses(world)

    async def job() -> None:
        async with Loopback(world, cosigning=cosigning_of(world, world.logs["hub"])) as hub:
            silos = running(hub, witnesses, *NAMES[:3]) | {NAMES[3]: hub.silo(NAMES[3])}
            await hub.finished()
            for silo in silos.values():
                await silo.result()

    run(job())
    world.logs["hub"].close()
    log = audited(tmp_path, world)
    known = known_witnesses(log, world)
    last = read_witnessed((tmp_path / LOG_FOLDER / WITNESSED).read_bytes(), log.owner, known)
    assert cosigners(last, known) == tuple(sorted(NAMES[:3]))


def test_an_aggregator_without_a_log_is_refused_under_a_quorum_only() -> None:
    world = World(limits={"witnesses": 3})
    with pytest.raises(EvidenceRejected, match="asks for 3 witnesses, and aggregator hub keeps no signed log"):
        Witnesses(world)["ambon"].meet(b"", "hub")
    without = Witnesses(World())["ambon"]
    without.meet(b"", "hub")
    assert not without.follows
    with pytest.raises(MessageRefused, match="shown no log"):
        _ = without.size


def test_a_job_without_its_quorum_does_not_end_and_names_who_is_missing(tmp_path: Path) -> None:
    world = world_with(tmp_path, quorum=4, rounds=1)
    witnesses = Witnesses(world)

    async def job() -> None:
        async with Loopback(world, give_up=2.0, cosigning=cosigning_of(world, world.logs["hub"])) as hub:
            for name in NAMES[:2]:
                hub.silo(name, witness=witnesses[name])
            silos = [hub.silo(name) for name in NAMES[2:]]  # not witnesses
            with pytest.raises(PolicyError, match=r"2 silos cosigned .* asks for 4 witnesses; missing cusco, dakar"):
                await hub.finished()
            assert not any(silo.ended for silo in silos)

    run(job())
    assert not (tmp_path / LOG_FOLDER / WITNESSED).exists()


def test_the_aggregator_goes_on_after_a_restart_with_the_signatures_it_had(tmp_path: Path) -> None:
    world = world_with(tmp_path, quorum=4, rounds=1)
    witnesses = Witnesses(world)
    log = world.logs["hub"]

    async def job() -> None:
        async with Loopback(world, cosigning=cosigning_of(world, log)) as hub:
            for name in NAMES[:3]:
                hub.silo(name, witness=witnesses[name])
            fourth = hub.silo(NAMES[3])  # takes its part in the round, and cosigns nothing
            await hub.until(
                lambda: (
                    hub.service._standing.cosigning is not None and len(hub.service._standing.cosigning.cosigned) == 3
                )
            )
            before = hub.service._standing.cosigning.final
            await hub.stop_aggregator()
            log.append("x-between", {})
            await hub.start_aggregator()
            await hub.until(lambda: hub.service._standing.cosigning is not None)
            assert hub.service._standing.cosigning.final == before
            channel = await hub.channel(NAMES[3])
            mine = witnesses[NAMES[3]]
            mine.meet(await ask(channel, "witness", mine.statement) or b"", "hub")
            request = await ask(channel, "checkpoint", mine.size.to_bytes(8, "big"))
            lines = mine.cosign(request or b"")
            await ask(channel, "cosign", parts.join([mine.size.to_bytes(8, "big"), lines]))
            await channel.close()
            await hub.finished()
            await fourth.result()

    run(job())
    known = [verify(witnesses[name].statement, TRUST, clock=world.clock) for name in NAMES]
    owner = ownership.verify(log.owner, TRUST, clock=world.clock)
    last = read_witnessed((tmp_path / LOG_FOLDER / WITNESSED).read_bytes(), owner, known)
    assert len(cosigners(last, known)) == 4
    assert (tmp_path / LOG_FOLDER / CHECKPOINT).read_bytes() != last.note.encode()  # it covers what came between


def test_over_channels_a_silo_that_is_shown_a_rewritten_log_stops_and_the_others_go_on(tmp_path: Path) -> None:
    world = world_with(tmp_path, quorum=3, rounds=2)
    witnesses = Witnesses(world)
    other = second_log(tmp_path, tmp_path / "other", world)

    class Rewriting(Cosigning):
        """Shows ambon, once it has cosigned the first round, a log that begins otherwise."""

        def request(self, silo: str, size: int) -> bytes:
            if silo != "ambon" or size == 0:
                return super().request(silo, size)
            while other.reader().size < size + 3:
                other.append("x-invented", {})
            liar = Cosigning(
                self._job, policy=world.policy, security=world.hub_security, state=MemoryState(), log=other
            )
            liar.begin(2)
            return liar.request(silo, size)

    def make(job: AgreedJob) -> Cosigning:
        return Rewriting(
            job.job,
            policy=world.policy,
            security=world.hub_security,
            state=world.states["hub"],
            log=world.logs["hub"],
        )

    async def job() -> None:
        async with Loopback(world, deadline=1.0, cosigning=make) as hub:
            silos = running(hub, witnesses)
            with pytest.raises(EvidenceRejected, match="aggregator hub shows a log that this silo does not cosign"):
                await silos["ambon"].result()
            for name in NAMES[1:]:
                await silos[name].result()
            await hub.finished()

    run(job())
    assert witnesses.logged("ambon", "refusal")[-1].attached["evidence"].size > 0
    other.close()


class Killed(BaseException):
    pass


@pytest.mark.parametrize("where", ["log", "state", "file"])
def test_the_aggregator_killed_while_it_takes_a_cosignature_loses_none_that_it_acknowledged(
    begun, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, cosigning, witnesses = begun
    silos = {name: meet(cosigning, witnesses[name], name) for name in NAMES[:3]}
    cosigning.begin(1)
    for name in NAMES[:2]:
        cosign(cosigning, silos[name], name)
    log, state = world.logs["hub"], world.states["hub"]

    def kill(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        holder, name = {"log": (log, "cosigned"), "state": (state, "replace"), "file": (log, "keep_witnessed")}[where]
        patched.setattr(holder, name, kill)
        cosign(cosigning, silos[NAMES[2]], NAMES[2])
    again = Cosigning(world.aggregator.job, policy=world.policy, security=world.hub_security, state=state, log=log)
    assert again.cosigned == (NAMES[:2] if where == "state" else NAMES[:3])
    assert (log.folder / WITNESSED).exists() == again.has_quorum == (where != "state")
    cosign(again, silos[NAMES[2]], NAMES[2])
    assert again.has_quorum and (log.folder / WITNESSED).exists()


# ------------------------------------------------------------------------------------- what the aggregator refuses


@pytest.fixture
def begun(tmp_path: Path):
    """A job whose first round is over, with no channel."""
    world = world_with(tmp_path, rounds=3).begin()
    cosigning = Cosigning(
        world.aggregator.job,
        policy=world.policy,
        security=world.hub_security,
        state=world.states["hub"],
        log=world.logs["hub"],
    )
    witnesses = Witnesses(world)
    world.run_round()
    return world, cosigning, witnesses


def test_nothing_is_asked_for_before_a_round_is_over(begun) -> None:
    _, cosigning, witnesses = begun
    meet(cosigning, witnesses["ambon"], "ambon")
    assert cosigning.request("ambon", 0) == b""
    cosigning.begin(1)
    assert cosigning.request("ambon", 0) != b""


def test_what_is_logged_while_silos_cosign_makes_no_new_checkpoint_to_cosign(begun) -> None:
    world, cosigning, witnesses = begun
    cosigning.begin(1)
    one, other = (meet(cosigning, witnesses[name], name) for name in ("ambon", "bari"))
    first = cosigning.request("ambon", 0)
    lines = one.cosign(first)
    world.logs["hub"].append("x-meanwhile", {})
    cosigning.take("ambon", one.size, lines)
    cosigning.begin(1)
    assert cosigning.request("bari", 0) == first
    cosigning.take("bari", one.size, other.cosign(first))
    assert cosigning.cosigned == ("ambon", "bari")


def test_a_late_cosignature_changes_nothing(begun) -> None:
    world, cosigning, witnesses = begun
    cosigning.begin(1)
    one = meet(cosigning, witnesses["ambon"], "ambon")
    lines, size = one.cosign(cosigning.request("ambon", 0)), one.size
    world.run_round()
    cosigning.begin(2)
    cosigning.take("ambon", size, lines)
    assert cosigning.cosigned == ()
    cosigning.take("ambon", one.size + 10_000, lines)
    again = one.cosign(cosigning.request("ambon", one.size))
    cosigning.take("ambon", one.size, again)
    cosigning.take("ambon", one.size, b"anything: it has one already")
    assert cosigning.cosigned == ("ambon",)


@pytest.mark.parametrize("kind", ["nothing", "text", "binary", "another silo's", "of another checkpoint", "altered"])
def test_a_cosignature_that_does_not_hold_is_refused_by_name(begun, kind: str) -> None:
    world, cosigning, witnesses = begun
    cosigning.begin(1)
    one, other = (meet(cosigning, witnesses[name], name) for name in ("ambon", "bari"))
    request = cosigning.request("ambon", 0)
    lines = {
        "nothing": b"",
        "text": b"yes, I agree\n",
        "binary": b"\xff\xfe",
        "another silo's": other.cosign(request),
        "of another checkpoint": b"",
        "altered": one.cosign(request)[:-8] + b"AAAAAA=\n",
    }[kind]
    if kind == "of another checkpoint":
        world.logs["hub"].append("x-more", {})
        newest = read_checkpoint(world.logs["hub"].checkpoint, world.logs["hub"].keys.verifiers).checkpoint
        lines = signer("ambon").sign(newest, world.clock()).line.encode()
    size = max(one.size, other.size) or int(request.split(b"\n")[3])
    with pytest.raises(MessageRefused, match="ambon sent a cosignature that does not hold") as raised:
        cosigning.take("ambon", size, lines)
    assert raised.value.party == "ambon" and cosigning.cosigned == ()


def test_a_silo_has_one_key_in_a_job_and_says_so_itself(begun) -> None:
    world, cosigning, witnesses = begun
    cosigning.begin(1)
    with pytest.raises(MessageRefused, match="has not said which key"):
        cosigning.take("ambon", int(cosigning.request("ambon", 0).split(b"\n")[3]), b"")
    cosigning.register("ambon", witnesses["ambon"].statement)
    cosigning.register("ambon", witnesses["ambon"].statement)
    other = signer("bari").verifier
    lie = statement_of("ambon", said(type(other)(signer("ambon").name, 6, other.public), world.clock()))
    with pytest.raises(MessageRefused, match="cosigns with another key than it said"):
        cosigning.register("ambon", lie)
    with pytest.raises(EvidenceRejected, match="which is not its own"):
        cosigning.register("cusco", statement_of("cusco", said(other, world.clock())))
    with pytest.raises(MessageRefused, match="signed by silo ambon, not by silo dakar"):
        cosigning.register("dakar", witnesses["ambon"].statement)
    with pytest.raises(MessageRefused, match="not on the roster"):
        cosigning.register("zurich", witnesses["ambon"].statement)
    logged = [entry.body["silo"] for entry in world.logs["hub"].entries() if entry.kind == "witness"]
    assert logged == ["ambon"]


def statement_of(name: str, body: bytes, role: str = "silo") -> bytes:
    return speaking_as(identity(name, role)).sign(body)


def test_an_old_copy_of_the_log_is_refused_by_the_aggregator_too(begun) -> None:
    _, cosigning, _ = begun
    cosigning.begin(1)
    with pytest.raises(MessageRefused, match="the log is an old copy"):
        cosigning.request("ambon", 10_000)


# -------------------------------------------------------------------------------------------- what a silo refuses


def test_a_silo_follows_the_log_of_its_own_aggregator_only(begun) -> None:
    world, cosigning, witnesses = begun
    owner = cosigning.register("ambon", witnesses["ambon"].statement)
    for wrong in ("bari", "hub2"):
        with pytest.raises(EvidenceRejected, match=f"aggregator {wrong} shows the log of aggregator hub"):
            witnesses["ambon"].meet(owner, wrong)
    with pytest.raises(EvidenceRejected, match="whose log it is cannot be told"):
        witnesses["ambon"].meet(owner[:-1] + bytes([owner[-1] ^ 1]), "hub")
    of_silo = ownership.sign(world.logs["hub"].keys, identity("hub", "silo"), world.clock())
    with pytest.raises(EvidenceRejected, match="shows the log of silo hub"):
        witnesses["ambon"].meet(of_silo, "hub")


def test_a_silo_says_one_key_for_ever(begun) -> None:
    _, _, witnesses = begun
    one = witnesses["ambon"]
    assert one.statement == one.statement == witnesses["ambon"].statement
    found = verify(one.statement, TRUST, clock=witnesses.world.clock)
    assert (found.name, found.role, found.key) == ("ambon", "silo", signer("ambon").verifier)
    (entry,) = witnesses.logged("ambon", "witness")
    assert entry.body["silo"] == "ambon"
    assert key_in(WitnessStatement.decode(statement.Signed.decode(one.statement).body), "ambon") == found.key


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda note, statements: (note, statements[:1]), "ends the job with 1 witnesses of its log .* asks for 3"),
        (lambda note, statements: (note, []), r"ends the job with 0 witnesses of its log \(none\)"),
        (lambda note, statements: (note, [statements[0]] * 3), "ends the job with 1 witnesses"),
        (lambda note, statements: (note.replace(b"\n", b"\r\n", 1), statements), "control character"),
        (lambda note, statements: (note[: note.rindex("\u2014 quatrefoil".encode())], statements), "with 2 witnesses"),
    ],
)
def test_a_silo_leaves_under_the_quorum_only(begun, change, problem: str) -> None:
    _, cosigning, witnesses = begun
    cosigning.begin(1)
    silos = {name: meet(cosigning, witnesses[name], name) for name in NAMES[:3]}
    for name, one in silos.items():
        cosigning.take(name, 0, b"")
        cosign(cosigning, one, name)
    job = witnesses.world.aggregator.job
    assert silos["ambon"].require_quorum(cosigning.final, job) == ("ambon", "bari", "cusco")
    note, statements = parts.split(cosigning.final, 2)
    changed = change(note, parts.split_list(statements, 10))
    with pytest.raises(EvidenceRejected, match=problem):
        silos["ambon"].require_quorum(parts.join([changed[0], parts.join(changed[1])]), job)


def test_a_silo_does_not_leave_with_a_checkpoint_it_did_not_cosign(begun) -> None:
    world, cosigning, witnesses = begun
    cosigning.begin(1)
    silos = {name: meet(cosigning, witnesses[name], name) for name in NAMES}
    for name in NAMES:
        cosign(cosigning, silos[name], name)
    world.run_round()
    cosigning.begin(2)
    for name in NAMES[1:]:
        cosign(cosigning, silos[name], name)
    with pytest.raises(EvidenceRejected, match="not the one that it had this silo cosign last") as raised:
        silos["ambon"].require_quorum(cosigning.final, world.aggregator.job)
    assert raised.value.party == "hub"


def test_a_stranger_is_no_witness(begun) -> None:
    world, cosigning, witnesses = begun
    cosigning.begin(1)
    one = meet(cosigning, witnesses["ambon"], "ambon")
    cosign(cosigning, one, "ambon")
    note, _ = parts.split(cosigning.final, 2)
    stranger = statement_of("elba", said(signer("elba").verifier, world.clock()))
    with pytest.raises(MessageRefused, match="silo elba is shown as a witness, and is not on the roster"):
        one.require_quorum(parts.join([note, parts.join([stranger])]), world.aggregator.job)


def test_a_rewritten_log_stops_the_silo_with_evidence_that_names_the_aggregator(begun, tmp_path: Path) -> None:
    world, cosigning, witnesses = begun
    cosigning.begin(1)
    one = meet(cosigning, witnesses["ambon"], "ambon")
    one.cosign(cosigning.request("ambon", 0))
    size = one.size
    other = second_log(tmp_path, tmp_path / "other", world)
    for number in range(size + 5):
        other.append("x-invented", {"number": number})
    liar = Cosigning(
        world.aggregator.job, policy=world.policy, security=world.hub_security, state=MemoryState(), log=other
    )
    liar.register("ambon", one.statement)
    liar.begin(1)
    with pytest.raises(EvidenceRejected, match="aggregator hub shows a log that this silo does not cosign") as raised:
        one.cosign(liar.request("ambon", size))
    assert raised.value.party == "hub"
    refusal = witnesses.logged("ambon", "refusal")[-1]
    file = witnesses.logs["ambon"].payload(refusal.attached["evidence"].sha256)
    assert refusal.attached["evidence"].sha256 in raised.value.hint
    assert Evidence.decode(file).why == refusal.body["evidence"]
    assert json.loads(file)["v"] == 1
    assert witnesses["ambon"].statement in Evidence.decode(file).witnesses
