use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    ops::Range,
    thread,
    time::Duration,
};

use crate::{
    DynamoDb, Kafka, Kinesis, OpenSearch, Proxy, Valkey, ValkeyCluster, kafka, process::connect,
    wire,
};

fn is_gone(port: u16) -> bool {
    connect(port).is_err()
}

#[test]
fn a_dynamodb_answers_and_ends_with_its_value() {
    let server = DynamoDb::start().unwrap();
    let port = server.server().port();
    assert!(!is_gone(port));
    drop(server);
    assert!(is_gone(port));
}

#[test]
fn an_opensearch_restarts_on_its_port_and_ends_with_its_value() {
    let mut server = OpenSearch::start().unwrap();
    let (port, pid) = (server.server().port(), server.server().pid());
    assert_eq!(server.endpoint(), format!("http://127.0.0.1:{port}"));
    server.kill().unwrap();
    assert!(is_gone(port));
    server.restart().unwrap();
    assert_ne!(server.server().pid(), pid);
    assert!(!is_gone(port));
    drop(server);
    assert!(is_gone(port));
}

#[test]
fn a_valkey_restarts_empty_on_its_port() {
    let mut server = Valkey::start(&["--maxmemory", "10mb"]).unwrap();
    assert_eq!(server.command(&["SET", "a", "1"]).unwrap(), "OK");
    let pid = server.server().pid();
    server.restart().unwrap();
    assert_ne!(server.server().pid(), pid);
    assert_eq!(server.command(&["GET", "a"]).unwrap(), "(nil)");
    assert_eq!(server.command(&["CONFIG", "GET", "maxmemory"]).unwrap(), "maxmemory\n10485760");
    let port = server.server().port();
    drop(server);
    assert!(is_gone(port));
}

#[test]
fn a_cluster_comes_together() {
    let cluster = ValkeyCluster::start(3).unwrap();
    assert_eq!(cluster.nodes().len(), 3);
}

#[test]
fn a_proxy_is_cut_and_turned_to_another_server() {
    let servers = [Valkey::start(&[]).unwrap(), Valkey::start(&[]).unwrap()];
    for (server, name) in servers.iter().zip(["one", "two"]) {
        server.command(&["SET", "name", name]).unwrap();
    }
    let proxy = Proxy::tcp(servers[0].server().port()).unwrap();
    let mut asked = connect(proxy.port()).unwrap();
    let mut answer = [0; 9];
    asked.write_all(b"GET name\r\n").unwrap();
    asked.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"$3\r\none\r\n");
    proxy.retarget(servers[1].server().port());
    assert!(matches!(asked.read(&mut answer), Ok(0) | Err(_)), "the connection is cut");
    let mut asked = connect(proxy.port()).unwrap();
    asked.write_all(b"GET name\r\n").unwrap();
    asked.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"$3\r\ntwo\r\n");
}

/// One record in a batch as a producer sends it, with what Kafka asks of it: `value`, and no key.
fn batch(value: &str) -> Vec<u8> {
    let zigzag = |number: usize| u8::try_from(number << 1).unwrap();
    // Attributes, time and offset after the batch's, no key, the value, no headers.
    let mut record = vec![0, 0, 0, 1, zigzag(value.len())];
    record.extend(value.as_bytes());
    record.push(0);
    // Attributes and last offset, two times, no producer (id, epoch, sequence), one record.
    let mut checked = vec![0; 6 + 16];
    checked.extend([0xff; 14]);
    checked.extend(1_i32.to_be_bytes());
    checked.push(zigzag(record.len()));
    checked.extend(record);
    let crc = !checked.iter().fold(!0_u32, |crc, &byte| {
        let shift = |crc: u32, _| (crc >> 1) ^ (0x82f6_3b78 * (crc & 1));
        (0..8).fold(crc ^ u32::from(byte), shift)
    });
    // The leader's epoch, of which a producer knows nothing, and the format's version.
    let mut rest = vec![0xff, 0xff, 0xff, 0xff, 2];
    rest.extend(crc.to_be_bytes());
    rest.extend(checked);
    let length = i32::try_from(rest.len()).unwrap().to_be_bytes();
    [&[0; 8][..], &length, &rest].concat()
}

/// The one topic of these tests, as an array of one: its name, then what is said of it.
fn topic(rest: &[&[u8]]) -> Vec<u8> {
    [&[0, 0, 0, 1, 0, 1, b't'][..], &rest.concat()].concat()
}

fn make_topic(port: u16) -> Vec<u8> {
    // One partition, one replica, placed and configured by default; ten seconds.
    let topic = topic(&[&1_i32.to_be_bytes(), &1_i16.to_be_bytes(), &[0; 8]]);
    wire::request(port, 19, 2, &[&topic, &10_000_i32.to_be_bytes()[..], &[0]].concat()).unwrap()
}

/// The first answer that is no error, whose number stands in these bytes of it. A partition that was made
/// just now, or whose server was, has no leader for a moment: clients of Kafka are used to it.
fn once_led(port: u16, [api, version]: [i16; 2], request: &[u8], error: Range<usize>) -> Vec<u8> {
    let mut answers = (0..1000).map(|_| {
        thread::sleep(Duration::from_millis(10));
        wire::request(port, api, version, request).unwrap()
    });
    answers.find(|answer| answer[error.clone()] == [0, 0]).expect("an answer that is no error")
}

fn produce(port: u16, value: &str) {
    let batch = batch(value);
    let length = i32::try_from(batch.len()).unwrap().to_be_bytes();
    let topic = topic(&[&1_i32.to_be_bytes(), &0_i32.to_be_bytes(), &length, &batch]);
    // No transaction, acknowledged by all; ten seconds.
    let request = [&[0xff; 4][..], &10_000_i32.to_be_bytes(), &topic].concat();
    once_led(port, [0, 3], &request, 15..17);
}

/// All that the topic holds.
fn fetch(port: u16) -> String {
    let most = (1_i32 << 19).to_be_bytes();
    let from = 0_i64.to_be_bytes();
    let topic = topic(&[&1_i32.to_be_bytes(), &0_i32.to_be_bytes(), &from, &most]);
    // No replica itself; waits for nothing.
    let head = [-1_i32, 0, 0].map(i32::to_be_bytes).concat();
    let request = [&head, &most[..], &[0], &topic].concat();
    String::from_utf8_lossy(&once_led(port, [1, 4], &request, 19..21)).into_owned()
}

#[test]
fn a_kafka_keeps_what_it_has_when_killed_and_when_stopped() {
    let mut server = Kafka::start().unwrap();
    let (port, pid) = (server.server().port(), server.server().pid());
    assert_eq!(server.bootstrap(), format!("127.0.0.1:{port}"));
    let made = make_topic(port);
    assert_eq!(made[11..13], [0, 0], "{}", String::from_utf8_lossy(&made));
    produce(port, "before it was killed");
    let stopped_in_order = server.data().join(".kafka_cleanshutdown");
    server.kill().unwrap();
    assert!(is_gone(port));
    assert!(!stopped_in_order.exists());
    server.restart().unwrap();
    assert_ne!(server.server().pid(), pid);
    assert_eq!(server.server().port(), port);
    produce(port, "before it was stopped");
    server.stop().unwrap();
    assert!(is_gone(port));
    assert!(stopped_in_order.exists(), "{}", server.server().log());
    server.restart().unwrap();
    let held = fetch(port);
    assert!(held.contains("before it was killed"), "{held}");
    assert!(held.contains("before it was stopped"), "{held}");
    drop(server);
    assert!(is_gone(port));
}

#[test]
fn a_kafka_that_names_no_broker_is_not_ready() {
    for brokers in [0_u8, 1] {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            // The length, what is asked and in which version, the correlation, no name, no topic.
            let mut request = [0; 4 + 4 + 4 + 2 + 4];
            stream.read_exact(&mut request).unwrap();
            let correlation = &request[8..12];
            stream.write_all(&[&[0, 0, 0, 8], correlation, &[0, 0, 0, brokers]].concat()).unwrap();
        });
        assert_eq!(kafka::is_ready(port), brokers > 0);
        server.join().unwrap();
    }
}

#[test]
fn a_kafka_sends_those_who_come_through_a_proxy_back_to_it() {
    let proxy = Proxy::tcp(0).unwrap();
    let mut server = Kafka::start_behind(&proxy).unwrap();
    for _ in 0..2 {
        for port in [server.server().port(), proxy.port()] {
            // Of no topic; the answer has one broker, its number, its host and its port.
            let answer = wire::request(port, 3, 1, &[0; 4]).unwrap();
            assert_eq!(&answer[10..19], b"127.0.0.1");
            assert_eq!(answer[19..23], u32::from(port).to_be_bytes());
        }
        server.restart().unwrap();
    }
}

#[test]
fn a_kinesis_has_a_hundred_shards_on_loopback_alone_and_ends_with_its_value() {
    let server = Kinesis::start().unwrap();
    let port = server.server().port();
    assert_eq!(server.endpoint(), format!("http://127.0.0.1:{port}"));
    let ask_in = |format: &str, operation: &str, body: &[u8]| {
        let mut stream = connect(port).unwrap();
        let request = format!(
            "POST / HTTP/1.0\r\nX-Amz-Target: Kinesis_20131202.{operation}\r\n\
            Content-Type: application/x-amz-{format}-1.1\r\nContent-Length: {}\r\n\
            X-Amz-Date: 20260101T000000Z\r\nAuthorization: AWS4-HMAC-SHA256 Credential=any, \
            SignedHeaders=any, Signature=any\r\n\r\n",
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    };
    let ask = |operation: &str, body: &str| ask_in("json", operation, body.as_bytes());
    let made = ask("CreateStream", r#"{"StreamName":"s","ShardCount":100}"#);
    assert!(made.starts_with("HTTP/1.1 200"), "{made}");
    // Its shards count once they are there.
    while !ask("DescribeStreamSummary", r#"{"StreamName":"s"}"#).contains("ACTIVE") {
        std::thread::sleep(Duration::from_millis(5));
    }
    let refused = ask("CreateStream", r#"{"StreamName":"t","ShardCount":1}"#);
    assert!(refused.contains("LimitExceededException"), "{refused}");
    let listed = ask("ListStreams", "{}");
    assert!(listed.contains(r#"["s"]"#), "{listed}");
    let by_arn = |name: &str| {
        let arn = format!("arn:aws:kinesis:us-east-1:000000000000:stream/{name}");
        ask("DescribeStreamSummary", &format!(r#"{{"StreamARN":"{arn}"}}"#))
    };
    assert!(by_arn("s").contains(r#""OpenShardCount":100"#), "{}", by_arn("s"));
    assert!(by_arn("t").contains("ResourceNotFoundException"), "{}", by_arn("t"));
    let filter = r#"{"Type":"AFTER_SHARD_ID","ShardId":"shardId-000000000097"}"#;
    let after = ask("ListShards", &format!(r#"{{"StreamName":"s","ShardFilter":{filter}}}"#));
    assert_eq!(after.matches(r#""ShardId""#).count(), 2, "{after}");
    // Whole in CBOR, too, longer than 16 KiB.
    let all = ask_in("cbor", "ListShards", b"\xa1jStreamNameas");
    assert_eq!(all.matches("shardId-").count(), 100, "{} bytes", all.len());
    assert!(all.len() > 17_000, "{} bytes", all.len());
    assert!(TcpStream::connect(("127.0.0.2", port)).is_err());
    drop(server);
    assert!(is_gone(port));
}
