"""kafka-python (pure Python) in the roles of README.md."""

from kafka import ConsumerRebalanceListener, KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.errors import CommitFailedError, KafkaError, RebalanceInProgressError
from kafka.structs import OffsetAndMetadata

from worker import PARTITIONS, Worker, compare, now_ms, records, require, say, spans

# kafka-python 3.0.12 loses its assignment for good when a poll times out just as the answer to SyncGroup comes, so
# polls are long; records end them.
POLL_MS = 3000

ASSIGNORS = {"range": RangePartitionAssignor, "cooperative-sticky": CooperativeStickyAssignor}


def roundtrip(w):
    sent, start = {}, now_ms() - 3600_000
    runs = [(codec, "all", True) for codec in (None, "gzip", "snappy", "lz4", "zstd")]
    runs += [(None, 0, False), (None, 1, False), ("gzip", "all", False)]
    for codec, acks, idempotent in runs:
        run = f"{codec}-{acks}-{idempotent}"
        producer = KafkaProducer(bootstrap_servers=w.bootstrap, acks=acks, compression_type=codec, linger_ms=20,
                                 enable_idempotence=idempotent)
        sent[run] = records(run, start)
        futures = [producer.send(w.topic, value, key=key, headers=headers, partition=p, timestamp_ms=at)
                   for p, key, value, headers, at in sent[run]]
        producer.flush()
        if acks != 0:
            last = {}
            for future in futures:
                md = future.get(10)
                require(md.offset > last.get(md.partition, -1), "offsets do not rise")
                last[md.partition] = md.offset
        producer.close()
    consumer = KafkaConsumer(bootstrap_servers=w.bootstrap, auto_offset_reset="earliest", consumer_timeout_ms=20_000)
    tps = [TopicPartition(w.topic, p) for p in range(PARTITIONS)]
    consumer.assign(tps)
    read, missing = {}, sum(len(r) for r in sent.values())
    for m in consumer:
        run = dict(m.headers)["run"].decode()
        read.setdefault(run, []).append((m.partition, m.key, m.value, list(m.headers), m.timestamp))
        missing -= 1
        if missing == 0:
            break
    compare(sent, read)
    at = consumer.offsets_for_times({tps[0]: start + 30})[tps[0]]
    require(at.timestamp == start + 30 and at.offset == 10, f"offsets_for_times gave {at}")
    require(consumer.end_offsets(tps) == {tp: 20 * len(runs) for tp in tps}, "end offsets")
    consumer.close()


def consumer_of(w, listener=None, **more):
    consumer = KafkaConsumer(bootstrap_servers=w.bootstrap, group_id=w.group, enable_auto_commit=False,
                         auto_offset_reset="earliest", session_timeout_ms=5000, heartbeat_interval_ms=300,
                         metadata_max_age_ms=1000, partition_assignment_strategy=[ASSIGNORS[w.args.get("assignor", "range")]],
                         reconnect_backoff_max_ms=200, **more)
    consumer.subscribe([w.topic], listener=listener)
    return consumer


def repeatable(e):
    """A rebalance is under way, or what the library calls retriable: a refused connection, which it does not hide."""
    return isinstance(e, RebalanceInProgressError) or getattr(e, "retriable", False)


class Commits(ConsumerRebalanceListener):
    """Commits what was processed, at the latest when its partitions go."""

    def __init__(self):
        self.consumer = None
        self.got = []

    def commit(self):
        if self.got:
            self.consumer.commit()
            for span in self.got:
                say("done", *span)
            self.got = []

    def on_partitions_revoked(self, revoked):
        try:
            self.commit()
        except KafkaError as e:
            if not isinstance(e, CommitFailedError) and not repeatable(e):
                raise
            # the group went on without this member: the next owner gets them
        self.got = []

    def on_partitions_assigned(self, assigned):
        pass


def member(w):
    commits = Commits()
    commits.consumer = consumer = consumer_of(w, commits)
    while not w.leaving.is_set():
        try:
            batches = consumer.poll(timeout_ms=POLL_MS, max_records=50)
            got = [(tp.partition, *span) for tp, rs in batches.items() for span in spans(r.offset for r in rs)]
            for span in got:
                say("got", *span)
            commits.got += got
            commits.commit()
        except Exception as e:
            # Polling again is the answer to some: what was processed is committed then. Others an application would see.
            if not repeatable(e):
                say("error", repr(e))
    consumer.close()


def copy(w):
    consumer = consumer_of(w, isolation_level="read_committed")
    producer = KafkaProducer(bootstrap_servers=w.bootstrap, transactional_id=w.txid, transaction_timeout_ms=20_000, linger_ms=5)
    producer.init_transactions()
    while not w.leaving.is_set():
        batches = consumer.poll(timeout_ms=POLL_MS, max_records=20)
        if not batches:
            continue
        producer.begin_transaction()
        for tp, rs in batches.items():
            for r in rs:
                producer.send(w.out, r.value + b"+", key=r.key, partition=tp.partition)
        positions = {tp: OffsetAndMetadata(rs[-1].offset + 1, "", -1) for tp, rs in batches.items()}
        producer.send_offsets_to_transaction(positions, consumer.group_metadata())
        producer.commit_transaction()
        say("committed", sum(len(rs) for rs in batches.values()))
    consumer.close()
    producer.close()


if __name__ == "__main__":
    Worker.run(Worker(), {"roundtrip": roundtrip, "member": member, "copy": copy})
