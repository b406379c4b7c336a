//! The commands over a socket, as real clients send them.

#[allow(dead_code, reason = "each test uses a part of it")] // The same file serves several tests.
#[path = "support/process.rs"]
mod process;

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener},
    thread,
    time::{Duration, Instant},
};

use process::{PATIENCE, Process, exchange, file};
use redis::{Commands as _, Value, cmd, pipe};

#[test]
fn every_command_is_answered_in_both_versions_of_the_protocol() {
    let node = Process::first(&[]);
    for mut client in [node.client(), node.client_of_three()] {
        let ask = |line: &str, client: &mut redis::Connection| -> Value {
            let mut words = line.split(' ');
            let mut command = cmd(words.next().expect("a name"));
            for word in words {
                command.arg(word);
            }
            command.query(client).unwrap_or_else(|error| panic!("{line}: {error}"))
        };
        let text = |text: &str| Value::BulkString(text.into());
        let rows = [
            ("PING", Value::SimpleString("PONG".into())),
            ("ECHO a", text("a")),
            ("SELECT 3", Value::Okay),
            ("AUTH default x", Value::Okay),
            ("CLIENT SETNAME me", Value::Okay),
            ("CLIENT SETINFO LIB-NAME me", Value::Okay),
            ("CLIENT GETNAME", text("me")),
            ("SET a 1 EX 100", Value::Okay),
            ("TTL a", Value::Int(100)),
            ("GET a", text("1")),
            ("GETEX a EX 50", text("1")),
            ("PERSIST a", Value::Int(1)),
            ("SETNX a 1", Value::Int(0)),
            ("SETEX a 10 2", Value::Okay),
            ("PSETEX a 10000 3", Value::Okay),
            ("EXPIRE a 20", Value::Int(1)),
            ("PEXPIRE a 20000", Value::Int(1)),
            ("EXPIREAT a 9999999999", Value::Int(1)),
            ("PEXPIREAT a 9999999999999", Value::Int(1)),
            ("TYPE a", Value::SimpleString("string".into())),
            ("EXISTS a b", Value::Int(1)),
            ("MGET a b", Value::Array(vec![text("3"), Value::Nil])),
            ("GETDEL a", text("3")),
            ("HSET h f 1", Value::Int(1)),
            ("HMSET h g 2", Value::Okay),
            ("HGET h f", text("1")),
            ("HMGET h f x", Value::Array(vec![text("1"), Value::Nil])),
            ("HINCRBY h f 4", Value::Int(5)),
            ("HEXISTS h f", Value::Int(1)),
            ("HLEN h", Value::Int(2)),
            ("HKEYS h", Value::Array(vec![text("f"), text("g")])),
            ("HVALS h", Value::Array(vec![text("5"), text("2")])),
            ("HDEL h g", Value::Int(1)),
            ("UNLINK h", Value::Int(1)),
            ("DEL h", Value::Int(0)),
            ("WAIT 0 10", Value::Int(0)),
            ("COMMAND COUNT", Value::Int(49)),
        ];
        for (line, reply) in rows {
            assert_eq!(ask(line, &mut client), reply, "{line}");
        }
        let millis: i64 = client.pttl("missing").unwrap();
        assert_eq!(millis, -2);
        client.hset::<_, _, _, ()>("h", "f", "1").unwrap();
        let all: BTreeMap<String, String> = client.hgetall("h").unwrap();
        assert_eq!(all, BTreeMap::from([("f".into(), "1".into())]));
        client.del::<_, ()>("h").unwrap();
        let info: String = cmd("INFO").query(&mut client).unwrap();
        assert!(info.contains("redis_version:7.2") && info.contains("loading:0"));
        assert_eq!(cmd("QUIT").query::<Value>(&mut client).unwrap(), Value::Okay);
    }
}

#[test]
fn info_tells_what_was_sent_and_how_far_others_lag() {
    let first = Process::first(&["--commit-for=300ms"]);
    let second = first.join(&[]);
    let mut client = first.client();
    client.hset::<_, _, _, ()>("h", "cart", "3 apples").expect("it has a copy");
    client.hset::<_, _, _, ()>("h", "cart", "3 apples").expect("it is there");
    let info =
        |client: &mut redis::Connection| -> String { cmd("INFO").arg("heirloom").query(client).expect("it answers") };
    let told = info(&mut client);
    let has = |line: &str| told.lines().any(|found| found == line);
    for line in ["commits_unchanged:1", "commits_refused:0", "sessions_owned:1", "sessions_copied:0"] {
        assert!(has(line), "{line} in {told}");
    }
    assert!(has("attribute0:bytes=12,over=0,deltas=1,name=cart"), "{told}");
    assert!(told.lines().any(|line| line.starts_with("member0:") && line.ends_with(",lag_ms=0")), "{told}");
    // A stopped node acknowledges nothing.
    second.signal("-STOP");
    client.hset::<_, _, _, ()>("h", "cart", "an apple").expect_err("nobody has it in time");
    let told = info(&mut client);
    second.signal("-CONT");
    let lag = told.lines().find_map(|line| line.strip_prefix("member0:")?.split("lag_ms=").nth(1)?.parse::<u64>().ok());
    assert!(lag.is_some_and(|lag| 300 <= lag), "{told}");
}

#[test]
fn a_pipeline_is_answered_in_order_and_any_bytes_are_kept() {
    let node = Process::first(&[]);
    let other = node.join(&[]);
    let mut client = node.client();
    let mut pipeline = pipe();
    let value = |number: u32| [&number.to_le_bytes()[..], b"\r\n\0\xff"].concat();
    for number in 0..5_000 {
        pipeline.set(number, value(number)).ignore();
        pipeline.get(number);
        pipeline.cmd("NOSUCH").ignore();
    }
    // The unknown command is an error in its place and nothing else.
    let replies: Vec<redis::RedisResult<Value>> = raw_pipeline(&mut client, &pipeline);
    assert_eq!(replies.len(), 15_000);
    for (number, replies) in (0_u32..).zip(replies.chunks(3)) {
        assert_eq!(replies[0], Ok(Value::Okay));
        assert_eq!(replies[1], Ok(Value::BulkString(value(number))));
        assert!(replies[2].is_err());
    }
    let mut client = other.client();
    for number in [0, 1, 4_999] {
        eventually(|| client.get::<_, Option<Vec<u8>>>(number).unwrap() == Some(value(number)));
    }
}

fn raw_pipeline(client: &mut redis::Connection, pipeline: &redis::Pipeline) -> Vec<redis::RedisResult<Value>> {
    client.send_packed_command(&pipeline.get_packed_pipeline()).expect("it is open");
    (0..pipeline.cmd_iter().count())
        .map(|_| match client.recv_response() {
            Ok(Value::ServerError(error)) => Err(error.into()),
            other => other,
        })
        .collect()
}

#[test]
fn a_write_waits_for_its_copies_and_stays_without_them() {
    let node = Process::first(&["--durability=one"]);
    let mut client = node.client();
    let refused = client.set::<_, _, ()>("a", 1).expect_err("there is nobody to hold a copy");
    assert_eq!(refused.code(), Some("NOREPLICAS"));
    assert_eq!(client.get::<_, i32>("a").unwrap(), 1);
    let other = node.join(&["--durability=one"]);
    eventually(|| client.set::<_, _, ()>("a", 2).is_ok());
    assert_eq!(cmd("WAIT").arg(1).arg(1000).query::<i32>(&mut client).unwrap(), 1);
    assert_eq!(other.client().get::<_, i32>("a").unwrap(), 2);
    let info: String = cmd("INFO").arg("replication").query(&mut client).unwrap();
    assert!(info.contains("connected_slaves:1"), "{info}");
    assert_eq!(other.client().del::<_, i32>("a").unwrap(), 1);
    assert_eq!(client.exists::<_, i32>("a").unwrap(), 0);
}

#[test]
fn a_write_that_needs_more_members_than_there_are_is_refused_its_copies_and_stays() {
    let node = Process::first(&["--durability=majority"]);
    let other = node.join(&["--durability=copies:2"]);
    let mut client = node.client();
    eventually(|| client.set::<_, _, ()>("a", 1).is_ok());
    let short = other.client().set::<_, _, ()>("a", 2).expect_err("only one other can hold a copy");
    assert_eq!(short.code(), Some("NOREPLICAS"));
    eventually(|| client.get::<_, i32>("a").unwrap() == 2);
}

#[test]
fn a_stopped_member_costs_a_write_no_more_than_it_is_given() {
    let node = Process::first(&["--durability=one", "--commit-for=50ms"]);
    let other = node.join(&[]);
    let mut client = node.client();
    eventually(|| client.set::<_, _, ()>("a", 1).is_ok());
    // Its kernel still takes what comes.
    other.signal("-STOP");
    let late = client.set::<_, _, ()>("a", 2).expect_err("nobody answers");
    assert_eq!(late.code(), Some("NOREPLICAS"));
    assert!(late.to_string().contains("0 of 1 other members have it in time"), "{late}");
    assert_eq!(client.get::<_, i32>("a").unwrap(), 2);
    other.signal("-CONT");
    eventually(|| other.client().get::<_, i32>("a").unwrap() == 2);
}

#[test]
fn a_client_can_wait_for_more_copies_than_its_writes_do() {
    let node = Process::first(&["--durability=local"]);
    let [second, third] = [node.join(&[]), node.join(&[])];
    let mut client = node.client();
    let wait =
        |client: &mut redis::Connection, count: i32| cmd("WAIT").arg(count).arg(5000).query::<i32>(client).unwrap();
    eventually(|| wait(&mut client, 2) == 2);
    client.set::<_, _, ()>("a", 1).unwrap();
    client.hset::<_, _, _, ()>("h", "f", 1).unwrap();
    assert_eq!(wait(&mut client, 2), 2);
    for other in [&second, &third] {
        assert_eq!(other.client().get::<_, i32>("a").unwrap(), 1);
        assert_eq!(other.client().hget::<_, _, i32>("h", "f").unwrap(), 1);
    }
    // More than there are: as many as there are.
    client.set::<_, _, ()>("a", 2).unwrap();
    assert_eq!(wait(&mut client, 9), 2);
}

#[test]
fn a_node_that_does_not_serve_yet_says_so() {
    let listen = free_port();
    let settings = file("[cluster]\njoin_for = \"1h\"\n");
    let waiting =
        process::Waiting::start(&[&format!("--listen={listen}"), &format!("--config={}", settings.to_str().unwrap())]);
    let client = redis::Client::open(format!("redis://{listen}/?protocol=resp3")).unwrap();
    let mut connection = None;
    eventually(|| {
        connection = client.get_connection().ok();
        connection.is_some()
    });
    let mut connection = connection.expect("it listens");
    let refused = connection.get::<_, Value>("a").expect_err("it does not serve");
    assert_eq!(refused.kind(), redis::ErrorKind::Server(redis::ServerErrorKind::BusyLoading));
    let info: String = cmd("INFO").query(&mut connection).unwrap();
    assert!(info.contains("loading:1") && info.contains("loading_eta_seconds:1"));
    drop(waiting);
}

#[test]
fn inline_commands_work_and_what_is_not_the_protocol_ends_the_connection() {
    let node = Process::first(&[]);
    let mut stream = node.connect();
    assert_eq!(exchange(&mut stream, b"SET a 1\r\n\r\nget a\n", 12), "+OK\r\n$1\r\n1\r\n");
    let error = "-ERR Protocol error: expected '$', got '*'\r\n";
    assert_eq!(exchange(&mut stream, b"PING\r\n*1\r\n*1\r\n", 7 + error.len()), format!("+PONG\r\n{error}"));
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
    // A client that stops sending still gets what it has asked for.
    let mut stream = node.connect();
    stream.write_all(b"SET a 2\r\nGET a\r\n").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut replies = String::new();
    stream.read_to_string(&mut replies).unwrap();
    assert_eq!(replies, "+OK\r\n$1\r\n2\r\n");
}

#[test]
fn what_is_over_a_limit_is_refused_and_the_connection_stays() {
    let node = Process::first(&[]);
    let mut client = node.client();
    let before = node.memory();
    let refused = client.set::<_, _, ()>("a", vec![0; 100 << 20]).expect_err("it is too large");
    assert!(refused.to_string().contains("attribute_bytes_max (1048576)"), "{refused}");
    assert!(node.memory() < before + (20 << 20), "it was not kept");
    let refused = client.set::<_, _, ()>(vec![b'k'; 600], 1).expect_err("it is too long");
    assert!(refused.to_string().contains("id_bytes_max (512)"), "{refused}");
    let fields: Vec<(u32, u32)> = (0..5000).map(|number| (number, number)).collect();
    let refused = client.hset_multiple::<_, _, _, ()>("h", &fields).expect_err("they are too many");
    assert!(refused.to_string().contains("attributes_max (4096)"), "{refused}");
    client.set::<_, _, ()>("a", vec![0; 1 << 19]).unwrap();
    assert_eq!(client.get::<_, Vec<u8>>("a").unwrap(), vec![0; 1 << 19]);
}

#[test]
fn a_client_that_does_not_read_is_not_read_further() {
    let node = Process::first(&[]);
    node.client().set::<_, _, ()>("a", vec![b'x'; 1 << 19]).unwrap();
    let before = node.memory();
    let mut stream = node.connect();
    stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let requests = b"GET a\r\n".repeat(1 << 12);
    let mut sent = 0;
    while let Ok(len) = stream.write(&requests[sent % 7..]) {
        sent += len;
    }
    assert!(node.memory() < before + (40 << 20), "{sent} bytes of requests have made {} bytes", node.memory());
    // It is served on when it reads.
    let reply = (1 << 19) + b"$524288\r\n\r\n".len();
    let mut buffer = vec![0; reply];
    for _ in 0..(sent / 7).min(500) {
        stream.read_exact(&mut buffer).unwrap();
        assert!(buffer.starts_with(b"$524288\r\nx"));
    }
    // And others were served all the time.
    assert_eq!(node.client().exists::<_, i32>("a").unwrap(), 1);
}

#[test]
fn no_more_clients_are_let_in_than_are_allowed() {
    let node = Process::first(&["--clients-max=2"]);
    let clients = [node.connect(), node.connect()];
    for mut client in &clients {
        client.write_all(b"PING\r\n").unwrap();
        client.read_exact(&mut [0; 7]).unwrap();
    }
    let mut third = String::new();
    node.connect().read_to_string(&mut third).unwrap();
    assert_eq!(third, "-ERR max number of clients reached\r\n");
    drop(clients);
    eventually(|| {
        let mut client = node.connect();
        let mut reply = [0; 7];
        client.write_all(b"PING\r\n").is_ok() && client.read_exact(&mut reply).is_ok() && reply == *b"+PONG\r\n"
    });
}

#[test]
fn any_bytes_are_survived() {
    let node = Process::first(&[]);
    let mut seed = 1_u64;
    let mut random = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        seed >> 33
    };
    for _ in 0..200 {
        let mut stream = node.connect();
        let pieces = [&b"*"[..], b"$", b"\r\n", b"3", b"-1", b"999999999", b"SET", b"\0\xff", b"*3\r\n$3\r\nSET\r\n"];
        let len = usize::try_from(random() % 50).unwrap();
        let bytes: Vec<u8> =
            (0..len).flat_map(|_| pieces[usize::try_from(random()).unwrap() % pieces.len()]).copied().collect();
        // The node may close it in the middle.
        let _closed = stream.write_all(&bytes);
    }
    assert_eq!(cmd("PING").query::<String>(&mut node.client()).unwrap(), "PONG");
}

fn eventually(mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "it never comes to hold");
        thread::sleep(Duration::from_millis(20));
    }
}

fn free_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it is bound")
}
