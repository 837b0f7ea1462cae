"""The stream lane as it runs in earnest: a real Kafka, `trivium-ingest` in processes of its own."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from conftest import PATIENCE_SECONDS, TRIVIUM, Running
from nodes import INSTALLED, JAVA, Store, free_port

INGEST = str(Path(TRIVIUM).resolve().with_name("trivium-ingest"))
DEAD_LETTERS = "dead-letters"
CLUSTER = "dHJpdml1bS10ZXN0LTAwMA"

SETTINGS = """
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
broker.session.timeout.ms=2000
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
    """A broker that can be killed, and comes back with what it had."""

    def __init__(self, root: Path) -> None:
        jars = INSTALLED / "kafka"
        assert jars.exists(), f"{jars} is missing: run scripts/setup-stores"
        self.root = Path(tempfile.mkdtemp(prefix="kafka-", dir=root))
        port, controller = free_port(), free_port()
        self.brokers = f"127.0.0.1:{port}"
        self.settings = self.root / "server.properties"
        data = self.root / "data"
        self.settings.write_text(
            SETTINGS.format(port=port, controller=controller, data=data).lstrip()
        )
        self.java = (*JAVA, f"{jars}/*")
        self.java = (*self.java[:1], "-Xmx384m", *self.java[2:])
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
        for made in self.admin.create_topics([new]).values():
            made.result(PATIENCE_SECONDS)

    def consumer(self, group: str = "reader") -> Consumer:
        return Consumer(
            {
                "bootstrap.servers": self.brokers,
                "group.id": group,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
                "log_level": 0,
            }
        )

    def ends(self, topic: str) -> dict[int, int]:
        """Where each partition ends."""
        consumer = self.consumer()
        try:
            partitions = (
                consumer.list_topics(topic, timeout=PATIENCE_SECONDS).topics[topic].partitions
            )
            return {
                number: consumer.get_watermark_offsets(
                    TopicPartition(topic, number), timeout=PATIENCE_SECONDS
                )[1]
                for number in partitions
            }
        finally:
            consumer.close()

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
        """All messages of a topic as it stands, each partition in its order."""
        ends = self.ends(topic)
        consumer = self.consumer()
        try:
            waiting = {number for number, end in ends.items() if end > 0}
            consumer.assign([TopicPartition(topic, number, 0) for number in sorted(waiting)])
            deadline = time.monotonic() + PATIENCE_SECONDS
            while waiting:
                assert time.monotonic() < deadline, f"{topic} is not read to its end"
                for message in consumer.consume(10_000, timeout=1):
                    assert message.error() is None, message.error()
                    yield message
                    if message.offset() + 1 >= ends[message.partition()]:
                        waiting.discard(message.partition())
        finally:
            consumer.close()


class Worker(Running):
    """`trivium-ingest`, until it is stopped or killed."""

    def __init__(
        self, root: Path, name: str, kafka: Kafka, http: str, grpc: str, extra: str = ""
    ) -> None:
        folder = root / name
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
[kafka]
brokers = "{kafka.brokers}"
session_ms = 3000
commit_ms = 200
dead_letters = "{DEAD_LETTERS}"
payload_topics = ["payloads"]
{extra}
"""
        )
        super().__init__([INGEST, "--config", str(self.config)], folder / "log", cwd=folder)

    def partitions(self) -> list[dict]:
        return self.get("/v1/partitions").json()["partitions"]
