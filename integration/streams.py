"""The stream lane as it runs in earnest: a real Kafka, `trivium-ingest` in processes of its own."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from conftest import PATIENCE_SECONDS, TRIVIUM, Project, Running, Server
from nodes import INSTALLED, JAVA, Store, free_port

INGEST = str(Path(TRIVIUM).resolve().with_name("trivium-ingest"))
DEAD_LETTERS = "dead-letters"
GROUP = "trivium-ingest"
CLUSTER = "dHJpdml1bS10ZXN0LTAwMA"

SETTINGS = """
[project]
configs = "configs"
data_dir = ".trivium"
"""

BROKER = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
# One that was killed is let in again only after its last session.
broker.session.timeout.ms={session_ms}
broker.heartbeat.interval.ms=500
# Workers that die are missed soon.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
num.network.threads=1
num.io.threads=2
log.cleaner.dedupe.buffer.size=4194304
"""


def eventually(what: str, is_so, pause: float = 0.1) -> None:
    """Waits, and fails after a time that is never needed when all is well."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, what
        time.sleep(pause)


class Kafka:
    """A broker that can be killed, and comes back with what it had.

    After `session_ms` without a word of itself it is taken for dead, as on a busy machine.
    """

    # One that starts soon and takes little: no test is about its speed.
    SMALL = (*JAVA[:1], "-Xmx384m", *JAVA[2:])

    def __init__(self, root: Path, session_ms: int = 2_000, java: tuple[str, ...] = SMALL) -> None:
        jars = INSTALLED / "kafka"
        assert jars.exists(), f"{jars} is missing: run scripts/setup-stores"
        self.root = Path(tempfile.mkdtemp(prefix="kafka-", dir=root))
        port, controller = free_port(), free_port()
        self.brokers = f"127.0.0.1:{port}"
        self.settings = self.root / "server.properties"
        data = self.root / "data"
        self.settings.write_text(
            BROKER.format(
                port=port, controller=controller, data=data, session_ms=session_ms
            ).lstrip()
        )
        self.java = (*java, f"{jars}/*")
        subprocess.run(
            [*self.java, "kafka.tools.StorageTool", "format", "--cluster-id", CLUSTER]
            + ["--config", str(self.settings)],
            check=True,
            capture_output=True,
            timeout=PATIENCE_SECONDS,
        )
        self.start()

    def start(self) -> None:
        self.server = Store(self.root, "broker", *self.java, "kafka.Kafka", str(self.settings))
        self.admin = AdminClient({"bootstrap.servers": self.brokers, "log_level": 0})

        def has_broker() -> bool:
            with contextlib.suppress(KafkaException):
                return bool(self.admin.list_topics(timeout=2).brokers)
            return False

        eventually("Kafka does not start", has_broker)

    def kill_and_restart(self) -> None:
        self.server.stop()
        self.start()

    def stop(self) -> None:
        self.server.stop()
        shutil.rmtree(self.root, ignore_errors=True)

    def create(self, topic: str, partitions: int, **config: str) -> None:
        new = NewTopic(
            topic, partitions, 1, config={k.replace("_", "."): v for k, v in config.items()}
        )

        def is_made() -> bool:
            [made] = self.admin.create_topics([new]).values()
            try:
                made.result(PATIENCE_SECONDS)
            except KafkaException as error:
                # The broker has just begun, or the machine is busy: it is not counted yet.
                if error.args[0].code() == KafkaError.INVALID_REPLICATION_FACTOR:
                    return False
                raise
            return True

        eventually(f"{topic} cannot be made", is_made)

    def consumer(self, group: str = "reader", **settings) -> Consumer:
        return Consumer(
            {
                "bootstrap.servers": self.brokers,
                "group.id": group,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
                "log_level": 0,
                **settings,
            }
        )

    def bounds(self, topic: str) -> dict[int, tuple[int, int]]:
        """Where each partition begins and ends."""
        consumer = self.consumer()
        try:
            topics = consumer.list_topics(topic, timeout=PATIENCE_SECONDS).topics
            return {
                number: consumer.get_watermark_offsets(
                    TopicPartition(topic, number), timeout=PATIENCE_SECONDS
                )
                for number in topics[topic].partitions
            }
        finally:
            consumer.close()

    def ends(self, topic: str) -> dict[int, int]:
        """Where each partition ends."""
        return {number: end for number, (_, end) in self.bounds(topic).items()}

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """The group's progress in each partition."""
        consumer = self.consumer(group)
        try:
            partitions = (
                consumer.list_topics(topic, timeout=PATIENCE_SECONDS).topics[topic].partitions
            )
            asked = [TopicPartition(topic, number) for number in partitions]
            found = consumer.committed(asked, timeout=PATIENCE_SECONDS)
            return {each.partition: max(each.offset, 0) for each in found}
        finally:
            consumer.close()

    def read(self, topic: str):
        """All committed messages of a topic as it stands, each partition in its order."""
        # The end of a partition is told: where a transaction has ended, no message stands there.
        consumer = self.consumer(**{"enable.partition.eof": True})
        try:
            waiting = set(self.bounds(topic))
            consumer.assign([TopicPartition(topic, number, 0) for number in sorted(waiting)])
            deadline = time.monotonic() + PATIENCE_SECONDS
            while waiting:
                assert time.monotonic() < deadline, f"{topic} is not read to its end"
                for message in consumer.consume(10_000, timeout=1):
                    if message.error() is None:
                        yield message
                    elif message.error().code() == KafkaError._PARTITION_EOF:
                        waiting.discard(message.partition())
                    else:
                        raise KafkaException(message.error())
        finally:
            consumer.close()


def lanes(
    kafka: Kafka,
    group: str,
    extra: str,
    session_ms: int = 3000,
    payload_topics: Iterable[str] = ("payloads",),
) -> str:
    """What a worker's config says wherever it runs."""
    return f"""
[kafka]
brokers = "{kafka.brokers}"
group = "{group}"
session_ms = {session_ms}
commit_ms = 200
dead_letters = "{DEAD_LETTERS}"
payload_topics = {json.dumps(list(payload_topics))}
{extra}
"""


class Worker(Running):
    """`trivium-ingest`, until it is stopped or killed."""

    def __init__(
        self,
        root: Path,
        number: int,
        kafka: Kafka,
        http: str,
        grpc: str,
        extra: str,
        group: str,
        payload_topics: Iterable[str] = ("payloads",),
        session_ms: int = 3_000,
    ) -> None:
        self.extra = extra
        folder = root / f"worker-{number}"
        folder.mkdir(exist_ok=True)
        self.config = folder / "ingest.toml"
        self.config.write_text(
            f"""
[listen]
http = "127.0.0.1:0"
[registry]
url = "{http}"
poll_ms = 200
state_file = "state.json"
[serving]
url = "{grpc.replace("grpc://", "http://")}"
{lanes(kafka, group, extra, session_ms, payload_topics)}
"""
        )
        super().__init__([INGEST, "--config", str(self.config)], folder / "log", cwd=folder)

    def partitions(self) -> list[dict]:
        return self.get("/v1/streams/partitions").json()["partitions"]


class Event:
    """A message, and where it is to go."""

    def __init__(
        self, topic: str, key: bytes, value: bytes | None, headers=(), bad: str = ""
    ) -> None:
        self.topic, self.key, self.value, self.headers = topic, key, value, list(headers)
        # Why it cannot be a row; nothing where it can.
        self.bad = bad


def send(producer: Producer, events: list[Event]) -> None:
    """Sends them, in their order; returns when the broker has all."""
    failed = []

    def told(error, _message) -> None:
        if error is not None:
            failed.append(error)

    for event in events:
        while True:
            try:
                producer.produce(
                    event.topic,
                    key=event.key,
                    value=event.value,
                    headers=event.headers,
                    on_delivery=told,
                )
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    producer.flush(PATIENCE_SECONDS)
    assert not failed, failed[0]


class Streams:
    """A broker, `trivium dev` on a project with these views, and workers."""

    PAYLOAD_TOPICS: Iterable[str] = ("payloads",)
    # Short where workers and brokers are killed, so that they are missed soon.
    WORKER_SESSION_MS = 3_000
    BROKER_SESSION_MS = 2_000
    BROKER_JAVA = Kafka.SMALL

    def __init__(self, root: Path, configs: list[dict], **topics: int) -> None:
        self.root = root
        self.topics = topics
        self.workers: list[Worker] = []
        self.kafka = Kafka(root, self.BROKER_SESSION_MS, self.BROKER_JAVA)
        for topic, partitions in topics.items():
            self.kafka.create(topic, partitions)
        self.kafka.create(DEAD_LETTERS, 1)
        self.producer = Producer(
            {
                "bootstrap.servers": self.kafka.brokers,
                "enable.idempotence": True,
                "linger.ms": 5,
                "message.max.bytes": 2_000_000,
                "log_level": 0,
            }
        )
        self.project = Project(root)
        (root / "trivium.toml").write_text(SETTINGS)
        if configs:
            self.apply(configs)
        self.ports = (free_port(), free_port())
        self.start_serving()

    def apply(self, configs: list[dict]) -> None:
        for config in configs:
            folder = self.root / "configs" / config["namespace"]
            folder.mkdir(parents=True, exist_ok=True)
            file = folder / f"{config['name']}.v{config['version']}.json"
            file.write_text(json.dumps(config, indent=2))
        self.project.ok("apply", "--reason", "stream test")

    def start_serving(self, ingest: Path | None = None) -> None:
        """`trivium dev`, with a worker in its process where a config for one is given."""
        more = ["--ingest", str(ingest)] if ingest else []
        self.serving = Server(self.project, *more, ports=self.ports)

    def lanes_within(self, extra: str = "", group: str = GROUP) -> Path:
        """The config of a worker in serving's own process."""
        config = self.root / "ingest.toml"
        config.write_text(lanes(self.kafka, group, extra))
        return config

    def new_worker(
        self, number: int, extra: str = "", group: str = GROUP, door: int | None = None
    ) -> Worker:
        """One that reaches serving at the port `door`, if that is not serving's own."""
        http, grpc = (f"http://127.0.0.1:{port}" for port in self.ports)
        if door is not None:
            grpc = f"http://127.0.0.1:{door}"
        settings = (extra, group, self.PAYLOAD_TOPICS, self.WORKER_SESSION_MS)
        return Worker(self.root, number, self.kafka, http, grpc, *settings)

    def restart_worker(self, number: int, kill: bool) -> None:
        worker = self.workers[number]
        if kill:
            worker.kill()
        else:
            worker.stop()
        self.workers[number] = self.new_worker(number, worker.extra)

    def is_read(self, group: str = GROUP) -> bool:
        """Whether the workers' progress stands at the end of everything."""
        # A group that has just begun, or a broker that was away, says nothing for a moment.
        with contextlib.suppress(KafkaException):
            return all(
                self.kafka.committed(group, topic) == self.kafka.ends(topic)
                for topic in self.topics
            )
        return False

    def until_read(self) -> None:
        eventually("not all is read", self.is_read, pause=0.5)

    def stop(self) -> None:
        for running in (*self.workers, self.serving):
            if running.process.poll() is None:
                running.kill()
        self.kafka.stop()


class Steady(Streams):
    """Where nothing is killed: a machine that is busy for some seconds moves no partition."""

    WORKER_SESSION_MS = BROKER_SESSION_MS = 15_000
