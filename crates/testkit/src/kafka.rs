//! Kafka: broker and controller in one process, without ZooKeeper.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::{
    Error, Proxy,
    process::{Server, free_port, installed, jvm, with_retries},
    wire,
};

/// 16 bytes in base64, as Kafka wants it: the same for all, since none ever meets another.
const CLUSTER: &str = "dHJpdml1bS10ZXN0LTAwMA";
const METADATA: i16 = 3;

/// One Kafka broker. What it was told outlives its process, but not this value.
#[derive(Debug)]
pub struct Kafka {
    server: Server,
    jars: PathBuf,
    proxied: Option<Proxied>,
    /// After the server, which is dropped first.
    data: TempDir,
}

/// The door for those who come through a proxy, and are told to stay with it.
#[derive(Debug, Clone, Copy)]
struct Proxied {
    door: u16,
    proxy: u16,
}

impl Kafka {
    /// Starts one, empty, and waits until it serves. It makes no topic by itself, and takes consumer
    /// groups of both protocols and transactions.
    pub fn start() -> Result<Self, Error> {
        Self::start_with(None)
    }

    /// Starts one that can be reached through a [`Proxy::tcp`], too, which is turned to it. A broker
    /// tells its clients where to go on; those who come through the proxy are told to come through it.
    pub fn start_behind(proxy: &Proxy) -> Result<Self, Error> {
        let kafka = Self::start_with(Some(proxy.port()))?;
        if let Some(proxied) = kafka.proxied {
            proxy.retarget(proxied.door);
        }
        Ok(kafka)
    }

    fn start_with(proxy: Option<u16>) -> Result<Self, Error> {
        let jars = installed("kafka")?;
        let data = TempDir::with_prefix("trivium-test-kafka-")
            .map_err(|error| Error::io("making a folder for Kafka's data", &error))?;
        // Which ports it has is not written into its data.
        configure(data.path(), free_port()?, None)?;
        format(&jars, data.path())?;
        let (server, proxied) = with_retries(|| {
            let door = |proxy| Ok::<_, Error>(Proxied { door: free_port()?, proxy });
            let proxied = proxy.map(door).transpose()?;
            Ok((start_server(&jars, data.path(), free_port()?, proxied)?, proxied))
        })?;
        Ok(Self { server, jars, proxied, data })
    }

    /// Asks it to end in order (SIGTERM), and waits until it has.
    pub fn stop(&self) -> Result<(), Error> {
        self.server.stop()
    }

    /// Kills it, at whatever it does.
    pub fn kill(&self) -> Result<(), Error> {
        self.server.signal("KILL")
    }

    /// Kills it, if it has not ended yet, and starts it again, on the same port, with the data that it had.
    pub fn restart(&mut self) -> Result<(), Error> {
        self.kill()?;
        let port = self.server.port();
        self.server = start_server(&self.jars, self.data.path(), port, self.proxied)?;
        Ok(())
    }

    /// `127.0.0.1:port`, for `bootstrap.servers`.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.server.port())
    }
    /// Where it keeps its data.
    pub fn data(&self) -> PathBuf {
        logs(self.data.path())
    }
    /// The process.
    pub fn server(&self) -> &Server {
        &self.server
    }
}

fn start_server(
    jars: &Path,
    folder: &Path,
    port: u16,
    proxied: Option<Proxied>,
) -> Result<Server, Error> {
    configure(folder, port, proxied)?;
    let arguments = |_: &Path| java(jars, folder, "kafka.Kafka", &[&properties(folder)]);
    let mut server = Server::start(Path::new("java"), port, arguments)?;
    server.wait_until(is_ready)?;
    Ok(server)
}

fn logs(folder: &Path) -> PathBuf {
    folder.join("data")
}
fn properties(folder: &Path) -> String {
    folder.join("server.properties").display().to_string()
}

/// Writes what the server reads when it starts.
fn configure(folder: &Path, port: u16, proxied: Option<Proxied>) -> Result<(), Error> {
    let controller = free_port()?;
    let mut listeners = format!("PLAINTEXT://127.0.0.1:{port}");
    let mut advertised = listeners.clone();
    if let Some(Proxied { door, proxy }) = proxied {
        listeners.push_str(&format!(",PROXIED://127.0.0.1:{door}"));
        advertised.push_str(&format!(",PROXIED://127.0.0.1:{proxy}"));
    }
    let server = format!(
        "\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners={listeners},CONTROLLER://127.0.0.1:{controller}
advertised.listeners={advertised}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={}
auto.create.topics.enable=false
# There is one of it, and few partitions start and stop faster than fifty.
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=4
# One that was killed is let in again only after its last session: by default nine seconds later.
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
# Groups form at once, and members that die may be missed soon. With the newer protocol the server says when.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
group.consumer.min.session.timeout.ms=1000
group.consumer.session.timeout.ms=6000
group.consumer.min.heartbeat.interval.ms=200
group.consumer.heartbeat.interval.ms=500
# Transactions of the dead are looked for every so often; by default every ten seconds.
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
# Small: tests send little.
num.network.threads=1
num.io.threads=2
log.cleaner.dedupe.buffer.size=4194304
",
        logs(folder).display(),
    );
    // The default tells of nothing below an error, and on stdout.
    let logging = "\
rootLogger.level = warn
rootLogger.appenderRef.stderr.ref = stderr
appender.stderr.type = Console
appender.stderr.name = stderr
appender.stderr.target = SYSTEM_ERR
appender.stderr.layout.type = PatternLayout
appender.stderr.layout.pattern = %d %p %c{1}: %m%n
";
    fs::write(properties(folder), server)
        .and_then(|()| fs::write(folder.join("log4j2.properties"), logging))
        .map_err(|error| Error::io("writing Kafka's configuration", &error))
}

/// Makes an empty folder one that a server starts with.
fn format(jars: &Path, folder: &Path) -> Result<(), Error> {
    let words = ["format", "--cluster-id", CLUSTER, "--config", &properties(folder)];
    let output = Command::new("java")
        .args(java(jars, folder, "kafka.tools.StorageTool", &words))
        .output()
        .map_err(|error| Error::io("starting java", &error))?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        return Err(Error::new(format!("formatting Kafka's storage failed; it said: {said}")));
    }
    Ok(())
}

fn java(jars: &Path, folder: &Path, class: &str, words: &[&str]) -> Vec<String> {
    let mut arguments = jvm("384m", &format!("{}/*", jars.display()));
    let logging = folder.join("log4j2.properties");
    arguments.push(format!("-Dlog4j2.configurationFile={}", logging.display()));
    arguments.push(class.to_owned());
    arguments.extend(words.iter().map(|&word| word.to_owned()));
    arguments
}

/// Whether it says that it has a broker. It answers before: until the controller has let it in, it leads
/// no partition, and topics cannot be made.
pub(crate) fn is_ready(port: u16) -> bool {
    const NO_TOPIC: [u8; 4] = [0; 4];
    let answer = wire::request(port, METADATA, 1, &NO_TOPIC);
    answer.is_ok_and(|answer| {
        answer.first_chunk().is_some_and(|&count| i32::from_be_bytes(count) > 0)
    })
}
