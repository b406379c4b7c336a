#!/usr/bin/env python3
"""A pair of nodes, and five with one backup, driven by redis-py in both versions of the protocol.

    python tests/redis_py.py HEIRLOOM_BINARY

Prints a line for each test that fails, and how many passed and failed; the exit status is 0 if none failed.
"""

import itertools
import json
import os
import queue
import secrets
import signal
import subprocess
import sys
import threading
import time
import traceback

import redis

PATIENCE = 60
IDLE = 1800
FRESH = (f"{secrets.token_hex(4)}:{number}" for number in itertools.count())


class Node:
    """A node as a process of its own, on ports that are free."""

    def __init__(self, binary, cluster, name, *peers, more=()):
        flags = [*more, f"--cluster-name={cluster}", f"--name={name}", "--listen=127.0.0.1:0", "--bind=127.0.0.1:0"]
        flags += ["--multicast=off", f"--idle={IDLE}", *(f"--peer={peer}" for peer in peers)]
        # What is set for other nodes is not for these.
        environment = {key: value for key, value in os.environ.items() if not key.startswith("HEIRLOOM_")}
        environment["HEIRLOOM_LOG"] = "warn"
        self.process = subprocess.Popen([binary, "node", *flags], stdout=subprocess.PIPE, text=True, env=environment)

    def await_ready(self):
        lines = queue.Queue()
        threading.Thread(target=lambda: lines.put(self.process.stdout.readline()), daemon=True).start()
        line = lines.get(timeout=PATIENCE)
        assert line.startswith("ready "), line
        self.told = dict(word.split("=", 1) for word in line.split()[1:])
        self.host, port = self.told["listen"].rsplit(":", 1)
        self.port = int(port)
        return self

    def client(self, protocol, **options):
        return redis.Redis(self.host, self.port, protocol=protocol, socket_timeout=PATIENCE, **options)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def eventually(holds):
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, "it never comes to hold"
        time.sleep(0.02)


def refused(command, text, kind=redis.ResponseError):
    try:
        answer = command()
    except kind as error:
        assert text in str(error), error
    else:
        raise AssertionError(f"{answer!r} instead of an error with {text!r}")


# Each test has a client of either node, and speaks one version of the protocol.


def connects(one, other):
    for client in (one, other):
        assert client.ping() is True
        assert client.echo("a") == b"a"
        assert client.client_id() > 0
        assert client.client_setname("me") and client.client_getname() in ("me", b"me")
        assert client.select(3) and client.select(0)
    refused(lambda: one.select(16), "DB index is out of range")


def keeps_strings(one, other):
    key = next(FRESH)
    assert one.get(key) is None
    assert one.set(key, "1") is True and other.get(key) == b"1"
    assert one.set(key, "2", nx=True) is None and one.get(key) == b"1"
    assert one.set(key, "2", xx=True) is True and other.get(key) == b"2"
    assert one.set(next(FRESH), "1", xx=True) is None
    assert one.set(key, "3", ex=100) is True and 98 <= other.ttl(key) <= 100
    assert one.set(key, "4", keepttl=True) is True and 98 <= other.ttl(key) <= 100
    assert one.set(key, "5", px=50_000, get=True) == b"4" and 48_000 <= other.pttl(key) <= 50_000
    assert one.execute_command("SETEX", key, 70, "6") and one.execute_command("PSETEX", key, 60_000, "7")
    assert other.setnx(key, "8") is False and other.getex(key, ex=40) == b"7" and 38 <= one.ttl(key) <= 40
    missing = next(FRESH)
    assert one.mget(key, missing) == [b"7", None]
    assert one.exists(key, missing) == 1 and one.type(key) == b"string" and one.type(missing) == b"none"
    assert other.getdel(key) == b"7" and one.get(key) is None
    assert one.set(key, "9") and one.delete(key, missing) == 1 and other.exists(key) == 0
    assert one.set(key, "9") and one.unlink(key) == 1 and other.exists(key) == 0


def keeps_hashes(one, other):
    key = next(FRESH)
    assert one.hset(key, "user", "alice") == 1
    assert one.hset(key, mapping={"user": "bob", "items": 2}) == 1
    assert other.hgetall(key) == {b"user": b"bob", b"items": b"2"}
    assert other.hget(key, "user") == b"bob" and other.hget(key, "missing") is None
    assert other.hmget(key, "items", "missing") == [b"2", None]
    assert other.hincrby(key, "items", 3) == 5 and one.hget(key, "items") == b"5"
    assert one.hexists(key, "user") is True and one.hexists(key, "missing") is False
    assert one.hkeys(key) == [b"items", b"user"] and one.hvals(key) == [b"5", b"bob"] and one.hlen(key) == 2
    assert other.execute_command("HMSET", key, "a", "1", "b", "2") in (b"OK", True)
    assert one.hdel(key, "a", "b", "missing") == 2 and other.hlen(key) == 2
    assert one.type(key) == b"hash"
    refused(lambda: one.get(key), "Operation against a key")
    assert one.hdel(key, "user", "items") == 2 and other.exists(key) == 0 and other.hgetall(key) == {}


def ends_keys(one, other):
    key = next(FRESH)
    assert one.expire(key, 5) is False and one.ttl(key) == -2 and one.pttl(key) == -2
    one.set(key, "1")
    # Nobody has fixed an end, so it lives for the idle time.
    assert IDLE - 2 <= other.ttl(key) <= IDLE and other.persist(key) is False
    assert one.expire(key, 100) is True and 98 <= other.ttl(key) <= 100
    assert other.persist(key) is True and IDLE - 2 <= one.ttl(key) <= IDLE
    assert one.pexpire(key, 90_000) is True and 88 <= other.ttl(key) <= 90
    assert one.expireat(key, int(time.time()) + 80) is True and 77 <= other.ttl(key) <= 81
    assert one.pexpireat(key, int(time.time() * 1000) + 70_000) is True and 67 <= other.ttl(key) <= 71
    assert one.expire(key, 200, nx=True) is False and one.expire(key, 200, gt=True) is True
    assert one.pexpire(key, 50) is True
    eventually(lambda: one.get(key) is None and other.get(key) is None)
    one.set(key, "2")
    assert other.get(key) == b"2" and other.expire(key, -1) is True and one.exists(key) == 0


def answers_a_pipeline_in_order(one, other):
    key = next(FRESH)
    pipeline = one.pipeline(transaction=False)
    for number in range(1000):
        pipeline.set(f"{key}:{number}", number, ex=100)
        pipeline.get(f"{key}:{number}")
    replies = pipeline.execute()
    assert replies == [reply for number in range(1000) for reply in (True, b"%d" % number)]
    assert other.mget([f"{key}:{number}" for number in range(1000)]) == [b"%d" % number for number in range(1000)]
    pipeline = one.pipeline(transaction=False).set(key, "1").execute_command("NOSUCH").get(key)
    done, error, value = pipeline.execute(raise_on_error=False)
    assert done is True and isinstance(error, redis.ResponseError) and value == b"1"


def keeps_any_bytes(one, other):
    every = bytes(range(256)) + b"\r\n$-1\r\n\0"
    key = next(FRESH).encode() + every
    assert one.set(key, every) and other.get(key) == every
    assert other.delete(key) == 1
    assert one.hset(key, every, every) == 1 and other.hgetall(key) == {every: every}
    assert one.hset(key, b"", b"") == 1 and other.hget(key, b"") == b""
    large = secrets.token_bytes(1_000_000)
    assert one.set(next(FRESH), "") and one.hset(key, "large", large) == 1 and other.hget(key, "large") == large
    refused(lambda: one.set(key, b"x" * (1 << 21)), "attribute_bytes_max")
    assert one.ping()


def decodes_text(one, other):
    host, port = one.connection_pool.connection_kwargs["host"], one.connection_pool.connection_kwargs["port"]
    protocol = one.connection_pool.connection_kwargs["protocol"]
    text = redis.Redis(host, port, protocol=protocol, decode_responses=True, socket_timeout=PATIENCE)
    key = next(FRESH)
    assert text.hset(key, "name", "Zoë") == 1 and text.hgetall(key) == {"name": "Zoë"}
    assert other.hget(key, "name") == "Zoë".encode()
    text.close()


def keeps_databases_apart(one, other):
    protocol = one.connection_pool.connection_kwargs["protocol"]
    url = f"redis://127.0.0.1:{other.connection_pool.connection_kwargs['port']}/15?protocol={protocol}"
    fifteen = redis.Redis.from_url(url)
    key = next(FRESH)
    assert one.set(key, "0") and fifteen.get(key) is None and fifteen.set(key, "15")
    assert one.get(key) == b"0" and fifteen.get(key) == b"15"
    fifteen.close()


def waits_for_copies(one, other):
    key = next(FRESH)
    # WAIT is about the writes of its own connection.
    with one.client() as single:
        single.set(key, "1")
        assert single.wait(1, PATIENCE * 1000) == 1
        assert single.wait(9, 100) == 1
    assert other.get(key) == b"1"


def tells_about_itself(one, other):
    info = one.info()
    assert info["loading"] == 0 and info["role"] == "master" and info["connected_slaves"] == 1
    assert info["redis_mode"] == "standalone" and info["cluster_enabled"] == 0
    heirloom = other.info("heirloom")
    assert heirloom["state"] == "ready" and heirloom["members"] == 1 and heirloom["durability"] == "auto"
    assert heirloom["member0"]["state"] == "ready" and heirloom["idle_seconds"] == IDLE
    assert one.command_count() == len(one.command()) > 0


def refuses_what_it_does_not_have(one, other):
    absent = ["KEYS *", "SCAN 0", "DBSIZE", "FLUSHDB", "EVAL x 0", "EVALSHA x 0", "SUBSCRIBE a", "PUBLISH a b"]
    absent += ["MULTI", "EXEC", "WATCH a", "INCR a", "APPEND a b", "LPUSH a b", "SADD a b", "CONFIG GET a"]
    for line in absent:
        name = line.split()[0]
        refused(lambda: one.execute_command(*line.split()), f"unknown command '{name}'")
    refused(lambda: one.keys(), "unknown command")
    refused(lambda: one.eval("return 1", 0), "unknown command")
    refused(lambda: one.execute_command("GET"), "wrong number of arguments")
    # A transaction is refused as a whole: nothing of it is done.
    key = next(FRESH)
    refused(lambda: one.pipeline(transaction=True).set(key, "1").execute(), "", redis.RedisError)
    assert one.ping() and other.ping()


def renames(one, other):
    old, new, taken = next(FRESH), next(FRESH), next(FRESH)
    refused(lambda: one.rename(old, new), "no such key")
    assert one.hset(old, mapping={"user": "alice", "items": "2"}) == 2 and one.expire(old, 100)
    assert other.rename(old, new) is True and one.exists(old) == 0
    assert one.hgetall(new) == {b"user": b"alice", b"items": b"2"} and 97 <= one.ttl(new) <= 100
    told = pairs(one.execute_command("HEIRLOOM.EXPLAIN", old))
    assert told[b"state"] == b"ended" and told[b"cause"] == b"moved", told
    assert told[b"moved_to"] == pairs(one.execute_command("HEIRLOOM.EXPLAIN", new))[b"key"], told
    assert one.set(taken, "1") and other.renamenx(new, taken) is False and other.get(taken) == b"1"
    assert other.rename(new, taken) is True and one.hget(taken, "user") == b"alice" and one.exists(new) == 0
    assert one.renamenx(taken, old) is True and other.hget(old, "user") == b"alice"
    assert other.rename(old, old) is True and one.hlen(old) == 2


def pairs(reply):
    """Version 2 of the protocol has no maps."""
    return reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2]))


def explains(one, other):
    key = next(FRESH)
    told = pairs(one.execute_command("HEIRLOOM.EXPLAIN", key))
    assert told[b"state"] == b"unknown" and b"never there" in told[b"why"], told
    before = time.time() * 1000
    assert one.hset(key, mapping={"a": "12", "b": "3"}) == 2 and one.expire(key, 100)
    for client in (one, other):
        told = pairs(client.execute_command("HEIRLOOM.EXPLAIN", key))
        assert told[b"owner"] == one.info("heirloom")["id"].encode(), told
        assert told[b"owner_name"] == one.info("heirloom")["name"].encode(), told
        assert told[b"lifetime"] == b"fixed" and told[b"lifetime_ms"] == 100_000, told
        assert 97_000 < told[b"remaining_ms"] <= 100_000 and told[b"attributes"] == 2 and told[b"bytes"] == 5, told
        assert before - 5000 < told[b"born_unix_ms"] < before + 5000 and told[b"epoch"] == 1, told
        assert {b"here": (b"owner", b"copy"), b"elsewhere": (b"none",)}[told[b"state"]].count(told[b"role"]) == 1, told
        assert 1 < len(told[b"holders"]) and all(b"state=ready" in line for line in told[b"holders"]), told
    assert pairs(one.execute_command("HEIRLOOM.EXPLAIN", key))[b"role"] == b"owner"
    versions = {pairs(client.execute_command("HEIRLOOM.EXPLAIN", key))[b"version"] for client in (one, other)}
    assert len(versions) == 1, versions
    assert one.delete(key) == 1
    told = pairs(other.execute_command("HEIRLOOM.EXPLAIN", key))
    assert told[b"state"] == b"ended" and told[b"cause"] == b"ended", told
    assert told[b"why"] == b"the application ended it", told


def lists_members(one, other):
    rows = [pairs(row) for row in one.execute_command("HEIRLOOM.MEMBERS")]
    assert len(rows) == one.info("heirloom")["members"] + 1
    mine = rows[0]
    assert mine[b"self"] == b"yes" and mine[b"id"] == one.info("heirloom")["id"].encode(), mine
    assert mine[b"sessions_owned"] <= mine[b"sessions"] and mine[b"host"], mine
    their = other.info("heirloom")
    row = next(row for row in rows if row[b"id"] == their["id"].encode())
    assert (row[b"name"], row[b"address"], row[b"self"]) == (their["name"].encode(), their["address"].encode(), b"no")
    assert (row[b"state"], row[b"suspect"], row[b"weight"]) == (b"ready", b"no", 100), row
    assert 0 <= row[b"uptime_seconds"] < 1000 and row[b"host"] == mine[b"host"], row


class DjangoStore:
    """What Django's sessions in a cache do: EXISTS for a free id, SET NX, GET, SET EX, DEL."""

    def __init__(self, client):
        self.client = client

    @staticmethod
    def key(session_key):
        return f":1:django.contrib.sessions.cache{session_key}"

    def create(self):
        while True:
            session_key = secrets.token_hex(16)
            free = not self.client.exists(self.key(session_key))
            if free and self.client.set(self.key(session_key), "{}", nx=True, ex=1209600):
                return session_key

    def load(self, session_key):
        value = self.client.get(self.key(session_key))
        return None if value is None else json.loads(value)

    def save(self, session_key, session):
        assert self.load(session_key) is not None, "the session is gone"
        assert self.client.set(self.key(session_key), json.dumps(session), ex=1209600)

    def delete(self, session_key):
        return self.client.delete(self.key(session_key))


def serves_sessions_as_django_uses_them(one, other):
    stores = [DjangoStore(one), DjangoStore(other)]
    session_key = stores[0].create()
    assert one.set(DjangoStore.key(session_key), "{}", nx=True, ex=10) is None, "the id is taken"
    # The load balancer sends each request to another server.
    for request in range(50):
        store = stores[request % 2]
        session = store.load(session_key)
        session["requests"] = session.get("requests", 0) + 1
        store.save(session_key, session)
    assert stores[0].load(session_key) == {"requests": 50} == stores[1].load(session_key)
    # Login: a new id takes over what is in the old one, which ends.
    new = stores[1].create()
    stores[1].save(new, {**stores[1].load(session_key), "user": "alice"})
    assert stores[1].delete(session_key) == 1
    assert stores[0].load(session_key) is None and stores[0].load(new) == {"requests": 50, "user": "alice"}
    assert stores[0].delete(new) == 1 and stores[1].load(new) is None


TESTS = [
    connects,
    keeps_strings,
    keeps_hashes,
    ends_keys,
    answers_a_pipeline_in_order,
    keeps_any_bytes,
    decodes_text,
    keeps_databases_apart,
    waits_for_copies,
    tells_about_itself,
    refuses_what_it_does_not_have,
    renames,
    explains,
    lists_members,
    serves_sessions_as_django_uses_them,
]


# With one backup among five: what one node has written, another reads. Who wrote a session before may not have heard yet
# of who writes it now, so nothing here goes back and forth.
WITH_BACKUPS = [
    connects,
    answers_a_pipeline_in_order,
    decodes_text,
    keeps_databases_apart,
    refuses_what_it_does_not_have,
    explains,
    lists_members,
]


def keeps_what_a_killed_node_acknowledged(first, second):
    clients = [first.client(protocol) for protocol in (2, 3)]
    written = {next(FRESH): secrets.token_hex(8) for _ in range(500)}
    for number, (key, value) in enumerate(written.items()):
        client = clients[number % 2]
        assert client.set(key, value, ex=1000) if number % 3 else client.hset(key, "value", value) == 1
    first.kill()
    survivor = second.client(3)
    for number, (key, value) in enumerate(written.items()):
        found = survivor.get(key) if number % 3 else survivor.hget(key, "value")
        assert found == value.encode(), (key, found)
    try:
        clients[0].ping()
    except redis.ConnectionError:
        pass
    else:
        raise AssertionError("a dead node answers")
    eventually(lambda: survivor.info("heirloom")["members"] == 0)
    # Alone it goes on: by default a write waits for a copy only while there is another member.
    assert survivor.set("alone", "1") and survivor.get("alone") == b"1" and survivor.wait(1, 100) == 0


def main(binary):
    nodes, passed, failed = [], 0, 0

    def attempt(name, test):
        nonlocal passed, failed
        try:
            test()
            passed += 1
        except Exception:
            failed += 1
            print(f"FAILED: {name}")
            traceback.print_exc(file=sys.stdout)

    def attempt_all(tests, first, second):
        for protocol in (2, 3):
            for test in tests:
                one, other = first.client(protocol), second.client(protocol)
                attempt(f"{test.__name__}, version {protocol}", lambda: test(one, other))
                one.close()
                other.close()

    cluster = f"redis-py {secrets.token_hex(8)}"
    try:
        nodes.append(Node(binary, cluster, "one"))
        first = nodes[0].await_ready()
        nodes.append(Node(binary, cluster, "two", first.told["bind"]))
        second = nodes[1].await_ready()
        assert second.told["cause"] == "joined", second.told
        eventually(lambda: first.client(2).info("replication")["connected_slaves"] == 1)
        attempt_all(TESTS, first, second)
        last = keeps_what_a_killed_node_acknowledged
        attempt(last.__name__, lambda: last(first, second))
        backups = ("--copies=backups:1", "--durability=all")
        five = [Node(binary, f"{cluster} five", "one", more=backups)]
        bind = five[0].await_ready().told["bind"]
        five += [Node(binary, f"{cluster} five", name, bind, more=backups) for name in ("two", "three", "four", "five")]
        nodes += five
        for node in five[1:]:
            node.await_ready()
        for node in five:
            eventually(lambda: node.client(2).info("replication")["connected_slaves"] == 4)
        attempt_all(WITH_BACKUPS, five[0], five[4])
    finally:
        for node in nodes:
            node.kill()
    print(f"{passed} passed, {failed} failed (redis-py {redis.__version__})")
    return 0 if failed == 0 else 1


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
