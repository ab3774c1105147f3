"""confluent-kafka-python (librdkafka) in the roles of README.md."""

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka import TIMESTAMP_CREATE_TIME

from worker import PARTITIONS, Worker, compare, now_ms, records, require, say, spans

# librdkafka 2.16.0, after it bootstrapped anew because all brokers were down, waits for a broker that it has dropped when
# it sends offsets to a transaction: it answers AddOffsetsToTxn's success with nothing.
NO_REBOOTSTRAP = {"metadata.recovery.strategy": "none"}

REBALANCING = {KafkaError.REBALANCE_IN_PROGRESS, KafkaError.ILLEGAL_GENERATION, KafkaError.STALE_MEMBER_EPOCH}


def roundtrip(w):
    sent, start = {}, now_ms() - 3600_000
    runs = [(codec, "all", True) for codec in ("none", "gzip", "snappy", "lz4", "zstd")]
    runs += [("none", 0, False), ("none", 1, False), ("gzip", "all", False)]
    for codec, acks, idempotent in runs:
        run = f"{codec}-{acks}-{idempotent}"
        producer = Producer({"bootstrap.servers": w.bootstrap, "acks": acks, "compression.type": codec, "linger.ms": 20,
                             "enable.idempotence": idempotent})
        sent[run] = records(run, start)
        reports = []
        for p, key, value, headers, at in sent[run]:
            producer.produce(w.topic, value, key=key, partition=p, timestamp=at, headers=headers,
                             on_delivery=lambda err, m: reports.append((err, m.partition(), m.offset())))
        require(producer.flush(20) == 0, "not all were delivered")
        last = {}
        for err, p, at in reports:
            require(err is None, err)
            if acks != 0:
                require(at > last.get(p, -1), "offsets do not rise")
                last[p] = at
        require(len(reports) == len(sent[run]), "reports are missing")
    consumer = Consumer({"bootstrap.servers": w.bootstrap, "group.id": "unused", "auto.offset.reset": "earliest",
                         "check.crcs": True})
    consumer.assign([TopicPartition(w.topic, p, 0) for p in range(PARTITIONS)])
    read, missing = {}, sum(len(r) for r in sent.values())
    until = now_ms() + 20_000
    while missing and now_ms() < until:
        for m in consumer.consume(500, 0.2):
            require(m.error() is None, m.error())
            kind, at = m.timestamp()
            require(kind == TIMESTAMP_CREATE_TIME, f"timestamp type {kind}")
            run = dict(m.headers())["run"].decode()
            read.setdefault(run, []).append((m.partition(), m.key(), m.value(), m.headers(), at))
            missing -= 1
    compare(sent, read)
    at = consumer.offsets_for_times([TopicPartition(w.topic, 0, start + 30)], 10)[0]
    require(at.offset == 10, f"offsets_for_times gave {at}")
    for p in range(PARTITIONS):
        marks = consumer.get_watermark_offsets(TopicPartition(w.topic, p), 10)
        require(marks == (0, 20 * len(runs)), f"watermarks {marks}")
    consumer.close()


def consumer_of(w, **more):
    conf = {"bootstrap.servers": w.bootstrap, "group.id": w.group, "enable.auto.commit": False,
            "auto.offset.reset": "earliest", "topic.metadata.refresh.interval.ms": 1000, "reconnect.backoff.max.ms": 200}
    if w.args.get("protocol") == "consumer":
        conf["group.protocol"] = "consumer"
    else:
        conf |= {"session.timeout.ms": 5000, "heartbeat.interval.ms": 300,
                 "partition.assignment.strategy": w.args.get("assignor", "range")}
    return Consumer(conf | more)


def poll(consumer, count):
    """What was read, as {partition: [message]}."""
    batches = {}
    for m in consumer.consume(count, 0.1):
        if m.error() is not None:
            say("error", m.error())
            continue
        batches.setdefault(m.partition(), []).append(m)
    return batches


class Commits:
    """Commits what was processed, at the latest when its partitions go."""

    def __init__(self, consumer):
        self.consumer = consumer
        self.got = []

    def processed(self, batches):
        got = [(p, *span) for p, ms in batches.items() for span in spans(m.offset() for m in ms)]
        for span in got:
            say("got", *span)
        self.got += got

    def commit(self, topic):
        if not self.got:
            return
        ends = {}
        for p, _, last in self.got:
            ends[p] = last + 1
        try:
            self.consumer.commit(offsets=[TopicPartition(topic, p, at) for p, at in ends.items()], asynchronous=False)
        except KafkaException as e:
            if e.args[0].code() not in REBALANCING:
                raise
            return  # with the next commit, or for the partitions' next owner
        for span in self.got:
            say("done", *span)
        self.got = []

    def revoked(self, topic):
        self.commit(topic)
        self.got = []


def member(w):
    consumer = consumer_of(w)
    commits = Commits(consumer)
    consumer.subscribe([w.topic], on_revoke=lambda _, __: commits.revoked(w.topic))
    while not w.leaving.is_set():
        try:
            commits.processed(poll(consumer, 50))
            commits.commit(w.topic)
        except Exception as e:  # an application would see it
            say("error", repr(e))
    consumer.close()


def copy(w):
    consumer = consumer_of(w, **{"isolation.level": "read_committed"} | NO_REBOOTSTRAP)
    consumer.subscribe([w.topic])
    producer = Producer({"bootstrap.servers": w.bootstrap, "transactional.id": w.txid, "transaction.timeout.ms": 20_000,
                         "linger.ms": 5} | NO_REBOOTSTRAP)
    producer.init_transactions(30)
    while not w.leaving.is_set():
        batches = poll(consumer, 20)
        if not batches:
            continue
        producer.begin_transaction()
        for p, ms in batches.items():
            for m in ms:
                producer.produce(w.out, m.value() + b"+", key=m.key(), partition=p)
        offsets = [TopicPartition(w.topic, p, ms[-1].offset() + 1) for p, ms in batches.items()]
        producer.send_offsets_to_transaction(offsets, consumer.consumer_group_metadata(), 30)
        producer.commit_transaction(30)
        say("committed", sum(len(ms) for ms in batches.values()))
    consumer.close()


if __name__ == "__main__":
    Worker.run(Worker(), {"roundtrip": roundtrip, "member": member, "copy": copy})
