"""Who may speak with the studio's server: each line of its table of dangers is a test, over a real socket."""

from __future__ import annotations

import http.client
import json
import re
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

import ialgebra

pytest.importorskip("uvicorn")
pytest.importorskip("websockets")

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from ialgebra.apps.studio.security import Keys, is_loopback
from tests.studio import serving
from tests.studio.serving import get


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with ialgebra.connect(progress=False) as con, serving.served(con) as running:
        yield running.url


@pytest.fixture(scope="module")
def cookie(url: str) -> str:
    return serving.cookie(url)


@pytest.fixture
def origin(url: str) -> str:
    return f"http://{urlsplit(url).netloc}"


def shaken(url: str, **headers: str) -> int:
    """The status with which a WebSocket's handshake is answered."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=serving.PATIENCE)
    connection.putrequest("GET", "/ws", skip_host="Host" in headers)
    usual = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
    }
    for name, value in (usual | headers).items():
        connection.putheader(name, value)
    connection.endheaders()
    status = connection.getresponse().status
    connection.close()
    return status


# --- the way in


def test_the_token_is_exchanged_for_a_cookie_that_scripts_and_other_sites_do_not_get(url):
    place = urlsplit(url)
    answer = get(url, f"/?{place.query}")
    assert (answer.status, answer.getheader("location")) == (303, "/")
    name, *flags = answer.getheader("set-cookie").split("; ")
    assert {"HttpOnly", "SameSite=strict", "Path=/"} == set(flags)
    assert name.startswith(f"ialgebra-studio-{place.port}=")
    assert place.query.removeprefix("token=") not in name
    assert len(place.query.removeprefix("token=")) >= 43  # 32 random bytes


def test_two_servers_have_two_tokens_and_two_cookies(url):
    other = Keys("127.0.0.1", 1)
    assert other.token not in url
    assert Keys("127.0.0.1", 1).cookie != other.cookie


@pytest.mark.parametrize("path", ["/", "/assets/studio.js", "/export/1", "/nothing", "/docs", "/ws", "/?tok=1"])
def test_without_the_cookie_all_is_refused(url, path):
    assert get(url, path).status == 403
    assert get(url, path, Cookie="ialgebra-studio=1; session=2").status == 403


@pytest.mark.parametrize("token", ["", "x", "%00", "é", "%FF", "%ED%A0%80", "x" * 5000, "x&token=y"])
def test_a_wrong_token_gives_no_cookie(url, token):
    answer = get(url, f"/?token={token}")
    assert answer.status in (400, 403)
    assert answer.getheader("set-cookie") is None


def test_a_wrong_cookie_is_refused(url):
    port = urlsplit(url).port
    for value in ("x", "", '"', "a" * 4000):
        assert get(url, "/", Cookie=f"ialgebra-studio-{port}={value}").status == 403


def test_the_token_opens_the_page_and_nothing_else(url):
    query = urlsplit(url).query
    assert get(url, f"/assets/studio.js?{query}").status == 403
    assert get(url, f"/export/1?{query}").status == 403


def test_a_refusal_does_not_tell_the_token(url):
    assert urlsplit(url).query.removeprefix("token=").encode() not in get(url, "/").body


# --- names: DNS rebinding


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "127.0.0.1:{port}.evil.example",
        "localhost.evil.example:{port}", "", "127.0.0.1:{port}, evil.example", "192.168.0.1:{port}",
        "[::ffff:1]:{port}x", "127.0.0.1:{port}@evil.example", "0:{port}",
    ],
)  # fmt: skip
def test_a_foreign_host_is_refused(url, cookie, origin, host):
    named = host.format(port=urlsplit(url).port)
    assert get(url, "/", Host=named, Cookie=cookie).status in (400, 403)
    assert get(url, f"/?{urlsplit(url).query}", Host=named).status in (400, 403)
    assert shaken(url, Host=named, Cookie=cookie, Origin=f"http://{named}") in (400, 403)


def test_localhost_is_this_machine_too(url, cookie):
    assert get(url, "/", Host=f"localhost:{urlsplit(url).port}", Cookie=cookie).status == 200
    assert get(url, "/", Host=f"LOCALHOST:{urlsplit(url).port}", Cookie=cookie).status == 200


def test_two_hosts_are_refused(url, cookie):
    place = urlsplit(url)
    with socket.create_connection((place.hostname, place.port), serving.PATIENCE) as raw:
        raw.sendall(
            f"GET / HTTP/1.1\r\nHost: {place.netloc}\r\nHost: evil.example\r\nCookie: {cookie}\r\n\r\n".encode()
        )
        assert re.match(rb"HTTP/1.1 (400|403)", raw.recv(64))


def test_a_server_for_other_machines_goes_by_addresses_and_its_own_name():
    keys = Keys("0.0.0.0", 8000)
    assert keys.knows_host("192.168.7.9:8000")
    assert keys.knows_host("[fe80::1]:8000")
    assert keys.knows_host(f"{socket.gethostname()}:8000")
    assert not keys.knows_host("evil.example:8000")
    assert not keys.knows_host("192.168.7.9:8001")
    assert keys.address == "http://127.0.0.1:8000/"
    assert Keys("::1", 80).address == "http://[::1]:80/"
    assert Keys("::1", 80).knows_host("[::1]")
    assert [is_loopback(host) for host in ("127.0.0.1", "127.8.8.8", "::1", "localhost")] == [True] * 4
    assert [is_loopback(host) for host in ("0.0.0.0", "::", "10.0.0.1", "example.org")] == [False] * 4


# --- other sites: CSRF, cross-site WebSockets


@pytest.mark.parametrize(
    "foreign", ["http://evil.example", "https://127.0.0.1:{port}", "http://127.0.0.1:1", "null", "", "http://localhost:{port}"]
)  # fmt: skip
def test_a_foreign_origin_is_refused(url, cookie, foreign):
    foreign = foreign.format(port=urlsplit(url).port)
    assert get(url, "/", Origin=foreign, Cookie=cookie).status == 403
    assert shaken(url, Origin=foreign, Cookie=cookie) == 403


def test_a_websocket_needs_the_cookie_and_its_own_origin(url, cookie, origin):
    assert shaken(url, Cookie=cookie, Origin=origin) == 101
    assert shaken(url, Cookie=cookie) == 403
    assert shaken(url, Origin=origin) == 403
    assert shaken(url, Origin=origin, Cookie=cookie[:-1] + "!") == 403
    with pytest.raises(InvalidStatus, match="403"):
        connect(url.replace("http", "ws").replace("/?", "/ws?"), origin=origin)  # the token is no key for it


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "NONSENSE"])
def test_only_reading(url, cookie, origin, method):
    answer = get(url, "/", method, Cookie=cookie, Origin=origin)
    assert answer.status in (400, 405)
    assert answer.getheader("access-control-allow-origin") is None


# --- what a page may do


@pytest.mark.parametrize("path", ["/", "/nothing", "/assets/none.js", "/?token=x"])
def test_each_answer_says_what_a_page_may_load(url, cookie, path):
    answer = get(url, path, Cookie=cookie)
    policy = dict(each.split(" ", 1) for each in answer.getheader("content-security-policy").split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["connect-src"] == f"'self' ws://{urlsplit(url).netloc}"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert "unsafe" not in str(policy)
    assert "*" not in str(policy)
    assert answer.getheader("x-content-type-options") == "nosniff"
    assert answer.getheader("cache-control") == "no-store"
    assert answer.getheader("referrer-policy") == "no-referrer"
    assert answer.getheader("x-frame-options") == "DENY"
    assert answer.getheader("server") is None


def test_a_host_cannot_write_into_the_policy(url, cookie):
    port = urlsplit(url).port
    answer = get(url, "/", Host=f"x; script-src *:{port}", Cookie=cookie)
    assert answer.status in (400, 403)
    assert "*" not in (answer.getheader("content-security-policy") or "")


# --- files


@pytest.mark.parametrize(
    "path",
    [
        "/assets/../server.py", "/assets/..%2fserver.py", "/assets/%2e%2e/server.py", "/assets/%2e%2e%2fserver.py",
        "/assets//etc/passwd", "/assets/%2fetc%2fpasswd", "/assets/..\\server.py", "/assets/", "/assets", "/server.py",
        "/assets/%00", "/export/../server.py", "/export/", "/assets/.", "/assets/..", "//assets/../server.py",
    ],
)  # fmt: skip
def test_only_the_page_s_own_files_are_read(url, cookie, path):
    assert get(url, path, Cookie=cookie).status == 404


# --- messages


@pytest.fixture
def socket_of_page(url, cookie, origin):
    with connect(f"{origin.replace('http', 'ws')}/ws", origin=origin, additional_headers={"Cookie": cookie}) as opened:
        yield opened


MALFORMED = [
    "", "{", "null", "[]", "1", '"hello"', "{}", '{"type": 1}', '{"type": null, "id": 1}', '{"type": "hi", "id": "x"}',
    '{"type": "hello", "id": 1e400}', '{"type": "hello", "since": NaN}', '{"type": "nothing"}', '{"type": "__init__"}',
    "[" * 100_000, '{"type": "a", "b": ' + "[" * 200 + "]" * 200 + "}", b"", b"\0", b"\xff" * 100, b"\x80\x04K\x01.",
    '{"type": "hello"}', '{"type": "hello", "client": 5}', '{"type": "hello", "client": "../../x"}',
    '{"type": "hello", "client": "page-none", "since": -1}', '{"type": "hello", "client": "page-none", "url": []}',
]  # fmt: skip


def test_a_message_that_means_nothing_is_a_problem_and_the_next_is_answered(socket_of_page):
    for raw in MALFORMED:
        socket_of_page.send(raw)
        answer = json.loads(socket_of_page.recv(serving.PATIENCE))
        assert (answer["type"], len(answer["message"]) > 10) == ("problem", True), raw
    socket_of_page.send('{"type": "hello", "id": 7, "client": "page-none"}')
    assert json.loads(socket_of_page.recv(serving.PATIENCE))["type"] == "welcome"


WRONG = [
    ("gesture", {}), ("gesture", {"gesture": "model"}), ("gesture", {"gesture": {"do": 5}}), ("goto", {"step": "1"}),
    ("goto", {"step": 10**6}), ("text", {"text": 1}), ("ask", {"text": "x" * 40_000}), ("nothing", {}),
    ("complete", {"text": "s", "at": "0"}), ("thumbnails", {"input": "none"}), ("thumbnails", {"input": 3}),
    ("multiples", {"from": -1}), ("multiples", {}), ("classes", {"model": "none"}), ("plan", {"text": "select"}),
    ("panel", {"panel": "none", "message": {}}), ("panel", {"panel": "x"}), ("export", {"kind": "exe"}),
    ("predict", {"text": ";;"}), ("text", {"text": "\ud800"}),
]  # fmt: skip


def test_after_hello_too(url):
    with serving.page(url) as page:
        page.hello("page-after-hello")
        for raw in MALFORMED:
            page.socket.send(raw)
            assert page.until(lambda message: message["type"] == "problem")["message"]
        for type, said in WRONG:
            answer = page.ask(type, **said)
            assert answer["type"] in ("problem", "document"), (type, said, answer)
        assert page.ask("ping")["type"] == "pong"


def test_a_large_message_ends_its_socket_and_nothing_else(url, socket_of_page):
    socket_of_page.send('{"type": "hello", "client": "' + "x" * (300 << 10) + '"}')
    with pytest.raises(ConnectionClosed) as caught:
        socket_of_page.recv(serving.PATIENCE)
    assert caught.value.rcvd.code == 1009
    with serving.page(url) as page:
        assert page.hello("page-after-large")["type"] == "welcome"


def test_bytes_that_are_no_http_end_their_connection_and_nothing_else(url):
    place = urlsplit(url)
    for raw in (b"\x16\x03\x01\x02\x00\x01", b"GET\r\n\r\n", b"\0" * 100, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 20_000):
        with socket.create_connection((place.hostname, place.port), serving.PATIENCE) as opened:
            try:
                opened.sendall(raw)
                opened.shutdown(socket.SHUT_WR)
                while opened.recv(4096):
                    pass
            except OSError:  # it hung up while it was still sent something
                pass
    assert get(url, "/").status == 403
