"""Who may use the local endpoint, and from where it may not be reached."""

from __future__ import annotations

import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from local_asking import HOST, ScriptedClient, ask, made

from quatrefoil.errors import CallerError, HostError
from quatrefoil.proxy import local_users
from quatrefoil.proxy.access import Access, load_token, require_loopback

TOKEN = b"0123456789abcdef0123456789abcdef"


def refused(status, **asking):
    client = ScriptedClient()
    answered = ask(made(client, **{key: asking.pop(key) for key in ("token", "seen_user") if key in asking}), **asking)
    assert answered.status == status and answered.complete and client.asked == []
    return answered


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1"])
def test_loopback_addresses_are_listened_on(host):
    require_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "localhost", "example.org", "", "fe80::1", "127.1"])
def test_no_other_address_is(host):
    with pytest.raises(CallerError, match=r"Listen on 127\.0\.0\.1"):
        require_loopback(host)


@pytest.mark.parametrize("host", [b"127.0.0.1:8123", b"localhost:8123", b"LocalHost:8123"])
def test_its_own_names_are_answered(host):
    assert ask(made(), headers=[(b"host", host)]).status == 200


@pytest.mark.parametrize(
    "host",
    [
        b"attacker.example:8123",
        b"attacker.example",
        b"127.0.0.1",
        b"127.0.0.1:8124",
        b"127.0.0.2:8123",
        b"localhost.attacker.example:8123",
        b"localhost:8123.attacker.example",
        b"127.0.0.1:8123@attacker.example",
        b"localhost.:8123",
        b"[::1]:8123",
        b"",
    ],
)
def test_a_name_that_was_pointed_here_is_refused(host):
    """DNS rebinding: the page's own name is in Host."""
    assert b"Host" in refused(403, headers=[(b"host", host)]).content


@given(st.text(st.characters(codec="latin-1", exclude_characters="\0\r\n"), max_size=40))
def test_no_other_host_is_answered(host):
    value = host.encode("latin-1")
    expected = 200 if value.strip().lower() in (b"127.0.0.1:8123", b"localhost:8123") else 403
    assert ask(made(), headers=[(b"host", value)]).status == expected


def test_two_hosts_are_refused():
    refused(400, headers=[HOST, HOST])


@pytest.mark.parametrize(
    "field",
    [
        (b"origin", b"https://attacker.example"),
        (b"origin", b"null"),
        (b"origin", b"http://127.0.0.1:8123"),
        (b"Origin", b"http://localhost:3000"),
        (b"sec-fetch-site", b"cross-site"),
        (b"sec-fetch-site", b"same-site"),
        (b"sec-fetch-site", b"same-origin"),
        (b"Sec-Fetch-Site", b"anything"),
    ],
)
def test_what_a_page_sends_is_refused(field):
    assert b"web page" in refused(403, headers=[field]).content


@pytest.mark.parametrize(
    "kind", [b"text/plain", b"application/x-www-form-urlencoded", b"Multipart/Form-Data; boundary=x"]
)
def test_what_a_form_sends_is_refused(kind):
    refused(415, headers=[(b"content-type", kind)])


def test_a_preflight_gets_no_permission():
    answered = refused(405, method="OPTIONS", headers=[(b"access-control-request-method", b"POST")])
    assert not any(name.startswith(b"access-control") for name, _ in answered.headers)


def test_programs_that_say_that_no_page_asked_are_answered():
    assert ask(made(), headers=[(b"sec-fetch-site", b"none"), (b"sec-fetch-mode", b"cors")]).status == 200


# -------------------------------------------------------------------------------------------------- other users


@pytest.mark.parametrize("seen", [0, 8, 65534, None])
def test_another_users_program_is_refused(seen):
    assert b"another user" in refused(403, seen_user=seen).content


def test_a_token_lets_any_user_in_and_is_not_sent_on():
    client = ScriptedClient()
    answered = ask(
        made(client, token=TOKEN, seen_user=8), headers=[(b"authorization", b"Bearer " + TOKEN), (b"accept", b"*/*")]
    )
    assert answered.status == 200
    assert client.asked[0].headers == [(b"accept", b"*/*")]


@pytest.mark.parametrize(
    "shown",
    [
        None,
        b"",
        b"Bearer",
        b"Bearer " + TOKEN[:-1],
        b"Bearer " + TOKEN + b"0",
        b"Basic " + TOKEN,
        TOKEN,
        b"Bearer \xff",
    ],
)
def test_without_the_token_nobody_is_let_in(shown):
    headers = [] if shown is None else [(b"authorization", shown)]
    answered = refused(401, token=TOKEN, seen_user=7, headers=headers)
    assert TOKEN not in answered.content and answered.header(b"www-authenticate") == b"Bearer"


def test_two_tokens_are_refused():
    field = (b"authorization", b"Bearer " + TOKEN)
    refused(400, token=TOKEN, headers=[field, field])


def test_a_token_is_read_from_its_owners_file(tmp_path):
    file = tmp_path / "token"
    file.write_bytes(TOKEN + b"\n")
    file.chmod(0o600)
    assert load_token(file) == TOKEN


@pytest.mark.parametrize(
    "content", [b"", b"short", b"x" * 513, b"two words " * 5, "é".encode() * 20, b"x" * 40 + b"\0"]
)
def test_what_is_no_token_is_refused(tmp_path, content):
    file = tmp_path / "token"
    file.write_bytes(content)
    file.chmod(0o600)
    with pytest.raises(CallerError, match="openssl rand"):
        load_token(file)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o622])
def test_a_token_that_others_reach_is_refused(tmp_path, mode):
    file = tmp_path / "token"
    file.write_bytes(TOKEN)
    file.chmod(mode)
    with pytest.raises(CallerError, match="chmod 600"):
        load_token(file)


def test_a_token_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(HostError, match="cannot be read"):
        load_token(tmp_path / "token")


def test_without_the_systems_word_a_token_is_needed(monkeypatch):
    monkeypatch.setattr(local_users, "available", lambda: False)
    Access("127.0.0.1", token=TOKEN)
    with pytest.raises(CallerError, match="--token"):
        Access("127.0.0.1", token=None)


# -------------------------------------------------------------------------------------------------- /proc/net/tcp


@pytest.mark.parametrize(
    ("family", "listening", "connecting"),
    [
        (socket.AF_INET, "127.0.0.1", "127.0.0.1"),
        (socket.AF_INET6, "::1", "::1"),
        (socket.AF_INET6, "127.0.0.1", "::ffff:127.0.0.1"),
    ],
)
def test_the_system_says_whose_a_connection_is(family, listening, connecting):
    kind = socket.AF_INET6 if ":" in listening else socket.AF_INET
    with socket.create_server((listening, 0), family=kind) as server, socket.socket(family) as client:
        client.connect((connecting, server.getsockname()[1]))
        accepted, address = server.accept()
        with accepted:
            assert local_users.user_of(address[:2], server.getsockname()[:2]) == os.getuid()
            client.shutdown(socket.SHUT_WR)
            assert local_users.user_of(address[:2], server.getsockname()[:2]) is None


ROW = "   1: 0100007F:C350 0100007F:1FBB {state} 00000000:00000000 00:00000000 00000000  {user}        0 4242 1\n"


def rows(folder, *found):
    (folder / "tcp").write_text("  sl  local_address rem_address   st ...\n" + "".join(found))
    return local_users.user_of(("127.0.0.1", 50000), ("127.0.0.1", 8123), folder=folder)


def test_a_row_is_read(tmp_path):
    assert rows(tmp_path, ROW.format(state="01", user=1000)) == 1000


@pytest.mark.parametrize("state", ["02", "04", "05", "06", "08", "0A"])
def test_a_socket_that_is_closing_is_nobodys(tmp_path, state):
    assert rows(tmp_path, ROW.format(state=state, user=0)) is None


def test_the_servers_own_end_is_not_taken_for_the_clients(tmp_path):
    own = "   2: 0100007F:1FBB 0100007F:C350 01 00000000:00000000 00:00000000 00000000  0        0 4243 1\n"
    assert rows(tmp_path, own) is None
    assert rows(tmp_path, own, ROW.format(state="01", user=1000)) == 1000


def test_another_ports_row_is_not_taken(tmp_path):
    assert rows(tmp_path, ROW.format(state="01", user=0).replace("1FBB", "1FBC")) is None


def test_without_the_table_nothing_is_concluded(tmp_path):
    assert local_users.user_of(("127.0.0.1", 50000), ("127.0.0.1", 8123), folder=tmp_path) is None
