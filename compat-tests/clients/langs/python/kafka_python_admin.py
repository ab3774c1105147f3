"""kafka-python's admin client in the role "admin" of README.md."""

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka import errors
from kafka.admin import ConfigResource, ConfigResourceType, OffsetSpec
from kafka.structs import OffsetAndMetadata

from worker import Worker, eventually, require, say


def refused(error, call):
    try:
        call()
    except error:
        return
    raise AssertionError(f"not refused with {error.__name__}")


def topics(admin, t):
    configs = {"retention.ms": "1234567", "cleanup.policy": "compact"}
    spec = {t: {"num_partitions": 2, "replication_factor": 1, "configs": configs}}
    admin.create_topics(spec, validate_only=True)
    require(t not in admin.list_topics(), "made by validate_only")
    admin.create_topics(spec)
    refused(errors.TopicAlreadyExistsError, lambda: admin.create_topics(spec))
    refused(errors.InvalidTopicError, lambda: admin.create_topics({"a b": {"num_partitions": 1, "replication_factor": 1}}))
    refused(errors.InvalidReplicationFactorError, lambda: admin.create_topics({t + "3": {"num_partitions": 1, "replication_factor": 3}}))
    refused(errors.InvalidConfigurationError, lambda: admin.create_topics(
        {t + "3": {"num_partitions": 1, "replication_factor": 1, "configs": {"retention.ms": "x"}}}))
    eventually("described", lambda: sorted((p["partition_index"], p["leader_id"], tuple(p["isr_nodes"]))
                                           for p in admin.describe_topics([t])[0]["partitions"]), [(0, 1, (1,)), (1, 1, (1,))])
    admin.create_partitions({t: 5})
    refused(errors.InvalidPartitionsError, lambda: admin.create_partitions({t: 3}))
    eventually("partitions", lambda: len(admin.describe_topics([t])[0]["partitions"]), 5)


def configs(admin, t):
    def read():
        got = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, t)], config_filter="all")
        return tuple(got["topic"][t][k]["value"] for k in ("retention.ms", "cleanup.policy"))

    eventually("as made", read, ("1234567", "compact"))
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, t, {"retention.ms": "7654321", "cleanup.policy": ("DELETE", None)})])
    eventually("as altered", read, ("7654321", "delete"))
    broker = admin.describe_configs([ConfigResource(ConfigResourceType.BROKER, "1")], config_filter="all")["broker"]["1"]
    require(len(broker) > 100 and "log.retention.hours" in broker, "configuration of the broker")


def records_and_offsets(admin, w, t):
    producer = KafkaProducer(bootstrap_servers=w.bootstrap)
    for i in range(10):
        producer.send(t, b"%d" % i, partition=0, timestamp_ms=1_000_000 + i)
    producer.close()
    tp = TopicPartition(t, 0)

    def offset(spec):
        return admin.list_partition_offsets({tp: spec})[tp].offset

    require((offset(OffsetSpec.EARLIEST), offset(OffsetSpec.LATEST), offset(1_000_004)) == (0, 10, 4), "offsets")
    admin.delete_records({tp: 4})
    require(offset(OffsetSpec.EARLIEST) == 4, "records were not deleted")


def groups(admin, w, t):
    tp = TopicPartition(t, 0)
    g = t + "-group"
    admin.alter_group_offsets(g, {tp: OffsetAndMetadata(7, "meta", -1)})
    require(g in [x["group_id"] for x in admin.list_groups()], "not listed")
    at = admin.list_group_offsets({g: None})[g][tp]
    require((at.offset, at.metadata) == (7, "meta"), at)
    consumer = KafkaConsumer(t, bootstrap_servers=w.bootstrap, group_id=g, enable_auto_commit=False)
    got = []
    while not got:
        got = [r.offset for rs in consumer.poll(3000).values() for r in rs]
    require(got[0] == 7, f"began at {got}")
    described = admin.describe_groups([g])[g]
    require((described["group_state"], len(described["members"])) == ("Stable", 1), described)
    answer = admin.delete_groups([g])
    require("NonEmptyGroup" in str(answer[g]), answer)
    consumer.close()
    require(admin.describe_groups([g])[g]["group_state"] == "Empty", "not empty")
    admin.delete_group_offsets(g, [tp])
    require(tp not in admin.list_group_offsets({g: None})[g], "the offset was not deleted")
    admin.delete_groups([g])
    require(g not in [x["group_id"] for x in admin.list_groups()], "still listed")


def admin(w):
    client = KafkaAdminClient(bootstrap_servers=w.bootstrap)
    require([b["broker_id"] for b in client.describe_cluster()["brokers"]] == [1], "brokers")
    topics(client, w.topic)
    configs(client, w.topic)
    records_and_offsets(client, w, w.topic)
    groups(client, w, w.topic)
    client.delete_topics([w.topic])
    eventually("listed", lambda: w.topic in client.list_topics(), False)
    refused(errors.UnknownTopicOrPartitionError, lambda: client.delete_topics([w.topic]))
    client.close()
    say("compared", 1)


if __name__ == "__main__":
    Worker.run(Worker(), {"admin": admin})
