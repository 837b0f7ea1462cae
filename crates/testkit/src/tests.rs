use std::io::{Read as _, Write as _};

use crate::{DynamoDb, OpenSearch, Proxy, Valkey, ValkeyCluster, process::connect};

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
