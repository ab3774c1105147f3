"""confluent-kafka-python's admin client in the role "admin" of README.md."""

import time

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic, OffsetSpec,
                                   ResourceType)

from worker import Worker, eventually, require, say


def only(futures):
    (future,) = futures.values()
    return future.result(20)


def refused(code, call):
    try:
        call()
    except KafkaException as e:
        require(e.args[0].code() == code, f"refused with {e}")
        return
    raise AssertionError(f"not refused with {code}")


def topics(admin, t):
    new = NewTopic(t, num_partitions=2, replication_factor=1, config={"retention.ms": "1234567", "cleanup.policy": "compact"})
    only(admin.create_topics([new], validate_only=True))
    require(t not in admin.list_topics(timeout=10).topics, "made by validate_only")
    only(admin.create_topics([new]))
    refused(KafkaError.TOPIC_ALREADY_EXISTS, lambda: only(admin.create_topics([new])))
    refused(KafkaError.TOPIC_EXCEPTION, lambda: only(admin.create_topics([NewTopic("a b", 1, 1)])))
    refused(KafkaError.INVALID_REPLICATION_FACTOR, lambda: only(admin.create_topics([NewTopic(t + "3", 1, 3)])))
    refused(KafkaError.INVALID_CONFIG, lambda: only(admin.create_topics([NewTopic(t + "3", 1, 1, config={"retention.ms": "x"})])))
    eventually("described", lambda: {p: (m.leader, m.isrs) for p, m in admin.list_topics(t, timeout=10).topics[t].partitions.items()},
               {0: (1, [1]), 1: (1, [1])})
    only(admin.create_partitions([NewPartitions(t, 5)]))
    refused(KafkaError.INVALID_PARTITIONS, lambda: only(admin.create_partitions([NewPartitions(t, 3)])))
    eventually("partitions", lambda: len(admin.list_topics(t, timeout=10).topics[t].partitions), 5)


def configs(admin, t):
    def read():
        got = only(admin.describe_configs([ConfigResource(ResourceType.TOPIC, t)]))
        return tuple(got[n].value for n in ("retention.ms", "cleanup.policy"))

    eventually("as made", read, ("1234567", "compact"))

    def alter(*entries):
        only(admin.incremental_alter_configs([ConfigResource(ResourceType.TOPIC, t, incremental_configs=list(entries))]))

    alter(ConfigEntry("retention.ms", "7654321", incremental_operation=AlterConfigOpType.SET),
          ConfigEntry("cleanup.policy", "", incremental_operation=AlterConfigOpType.DELETE))
    eventually("as altered", read, ("7654321", "delete"))
    refused(KafkaError.INVALID_CONFIG,
            lambda: alter(ConfigEntry("retention.ms", "x", incremental_operation=AlterConfigOpType.SET)))
    broker = only(admin.describe_configs([ConfigResource(ResourceType.BROKER, "1")]))
    require(len(broker) > 100 and "log.retention.hours" in broker, "configuration of the broker")


def records_and_offsets(admin, w, t):
    producer = Producer({"bootstrap.servers": w.bootstrap})
    for i in range(10):
        producer.produce(t, b"%d" % i, partition=0, timestamp=1_000_000 + i)
    require(producer.flush(20) == 0, "not all were delivered")

    def offset(spec):
        return only(admin.list_offsets({TopicPartition(t, 0): spec})).offset

    found = (offset(OffsetSpec.earliest()), offset(OffsetSpec.latest()), offset(OffsetSpec.for_timestamp(1_000_004)))
    require(found == (0, 10, 4), found)
    require(only(admin.delete_records([TopicPartition(t, 0, 4)])).low_watermark == 4, "records were not deleted")
    require(offset(OffsetSpec.earliest()) == 4, "earliest offset")


def groups(admin, w, t):
    g = t + "-group"
    only(admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(g, [TopicPartition(t, 0, 7)])]))
    require(g in listed(admin), "not listed")
    (at,) = only(admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(g)])).topic_partitions
    require((at.partition, at.offset) == (0, 7), at)
    consumer = Consumer({"bootstrap.servers": w.bootstrap, "group.id": g, "enable.auto.commit": False})
    consumer.subscribe([t])
    until, got = time.time() + 20, []
    while not got and time.time() < until:
        got = [m.offset() for m in consumer.consume(10, 0.5)]
    require(got and got[0] == 7, f"began at {got}")
    described = only(admin.describe_consumer_groups([g]))
    require((described.state.name, len(described.members)) == ("STABLE", 1), described)
    refused(KafkaError.NON_EMPTY_GROUP, lambda: only(admin.delete_consumer_groups([g])))
    consumer.close()
    require(only(admin.describe_consumer_groups([g])).state.name == "EMPTY", "not empty")
    only(admin.delete_consumer_groups([g]))
    require(g not in listed(admin), "still listed")


def listed(admin):
    result = admin.list_consumer_groups().result(20)
    require(not result.errors, result.errors)
    return [x.group_id for x in result.valid]


def admin(w):
    client = AdminClient({"bootstrap.servers": w.bootstrap})
    require([n.id for n in client.describe_cluster().result(20).nodes] == [1], "brokers")
    topics(client, w.topic)
    configs(client, w.topic)
    records_and_offsets(client, w, w.topic)
    groups(client, w, w.topic)
    only(client.delete_topics([w.topic]))
    eventually("listed", lambda: w.topic in client.list_topics(timeout=10).topics, False)
    refused(KafkaError.UNKNOWN_TOPIC_OR_PART, lambda: only(client.delete_topics([w.topic])))
    say("compared", 1)


if __name__ == "__main__":
    Worker.run(Worker(), {"admin": admin})
