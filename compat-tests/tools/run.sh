#!/usr/bin/env bash
# Apache Kafka's own tools and its Java clients against a broker: run.sh HOST:PORT.
set -uo pipefail
broker=${1:?usage: run.sh HOST:PORT}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tools=org.apache.kafka.tools
failed=0 passed=0
topic=tools-$RANDOM$RANDOM

# tool CLASS ARGUMENT …: with the broker's address, at most 60 s
tool() {
  local class=$1
  shift
  timeout 60 "$here/apache-kafka" tool "$class" --bootstrap-server "$broker" "$@" 2>"$work/err"
}

# expect NAME PATTERN OUTPUT
expect() {
  if grep -qE -- "$2" <<<"$3"; then
    passed=$((passed + 1))
    echo "ok      $1"
  else
    failed=$((failed + 1))
    echo "FAILED  $1: no /$2/ in:"
    head -c 600 <<<"$3"
    tail -n 5 "$work/err"
  fi
}

expect "kafka-topics --create" "Created topic $topic" "$(tool $tools.TopicCommand --create --topic "$topic" --partitions 3 --config retention.ms=3600000)"
expect "kafka-topics --create again" "already exists" "$(tool $tools.TopicCommand --create --topic "$topic")"
expect "kafka-topics --describe" "PartitionCount: 3.*ReplicationFactor: 1.*retention.ms=3600000" "$(tool $tools.TopicCommand --describe --topic "$topic")"
expect "kafka-topics --list" "^$topic$" "$(tool $tools.TopicCommand --list)"
tool $tools.TopicCommand --alter --topic "$topic" --partitions 5
expect "kafka-topics --alter" "PartitionCount: 5" "$(tool $tools.TopicCommand --describe --topic "$topic")"
expect "kafka-configs --alter" "Completed updating config" "$(tool kafka.admin.ConfigCommand --entity-type topics --entity-name "$topic" --alter --add-config max.message.bytes=500000)"
expect "kafka-configs --describe" "max.message.bytes=500000.*DYNAMIC_TOPIC_CONFIG" "$(tool kafka.admin.ConfigCommand --entity-type topics --entity-name "$topic" --describe)"
expect "kafka-configs --describe --all of the broker" "num.partitions=1" "$(tool kafka.admin.ConfigCommand --entity-type brokers --entity-name 1 --describe --all)"
expect "kafka-producer-perf-test" "20000 records sent" "$(tool $tools.ProducerPerformance --topic "$topic" --num-records 20000 --record-size 100 --throughput -1)"
expect "kafka-console-producer" "^$" "$(printf 'k1:one\nk2:two\n' | tool $tools.ConsoleProducer --topic "$topic-con" --reader-property parse.key=true --reader-property key.separator=:)"
expect "kafka-console-consumer of a partition" "k1.one" "$(tool $tools.consumer.ConsoleConsumer --topic "$topic-con" --partition 0 --offset earliest --max-messages 2 --formatter-property print.key=true)"
expect "kafka-get-offsets" "^$topic-con:0:2$" "$(tool $tools.GetOffsetShell --topic "$topic-con")"
expect "kafka-verifiable-producer" '"acked":50' "$(tool $tools.VerifiableProducer --topic "$topic" --max-messages 50 --throughput -1 --acks -1)"
expect "kafka-log-dirs" "\"partition\":\"$topic-0\"" "$(tool $tools.LogDirsCommand --describe --topic-list "$topic")"
echo "{\"partitions\":[{\"topic\":\"$topic-con\",\"partition\":0,\"offset\":1}],\"version\":1}" >"$work/delete.json"
expect "kafka-delete-records" "low_watermark: 1" "$(tool $tools.DeleteRecordsCommand --offset-json-file "$work/delete.json")"
expect "kafka-get-offsets --time earliest" "^$topic-con:0:1$" "$(tool $tools.GetOffsetShell --topic "$topic-con" --time earliest)"
expect "kafka-broker-api-versions" "Produce\(0\): 0 to 13" "$(tool $tools.BrokerApiVersionsCommand)"
expect "kafka-features" "metadata.version" "$(tool $tools.FeatureCommand describe)"
expect "kafka-cluster cluster-id" "Cluster ID: ." "$(timeout 60 "$here/apache-kafka" tool $tools.ClusterTool cluster-id --bootstrap-server "$broker" 2>"$work/err")"
expect "kafka-producer-perf-test --transactional-id" "20000 records sent" "$(tool $tools.ProducerPerformance --topic "$topic" --num-records 20000 --record-size 100 --throughput -1 --transactional-id "$topic-txn" --transaction-duration-ms 20)"
expect "kafka-transactions list" "$topic-txn.*Complete(Commit|Abort)" "$(tool $tools.TransactionsCommand list)"
expect "kafka-transactions describe" "$topic-txn.*CompleteCommit" "$(tool $tools.TransactionsCommand describe --transactional-id "$topic-txn")"
expect "kafka-transactions describe-producers" "ProducerId" "$(tool $tools.TransactionsCommand describe-producers --topic "$topic" --partition 0)"

# A producer dies with its transaction open, and an operator ends it. "$@" are filters of list.
transactions() { tool $tools.TransactionsCommand "$@"; }
left=$topic-left
tool $tools.TopicCommand --create --topic "$left" --partitions 1 >/dev/null
leave_open() {
  "$here/apache-kafka" tool $tools.ProducerPerformance --bootstrap-server "$broker" --topic "$left" --num-records 100000 --record-size 10 --throughput 200 \
    --transactional-id "$left-$1" --transaction-duration-ms 500000 --command-property transaction.timeout.ms=600000 >/dev/null 2>&1 &
  local producer=$!
  for _ in $(seq 30); do
    transactions list --transactional-id-pattern "$left-$1" | grep -q Ongoing && break
    sleep 0.3
  done
  kill -9 $producer
  wait $producer 2>/dev/null
}
leave_open a
listed=$(transactions list --transactional-id-pattern "$left-.")
expect "kafka-transactions list --transactional-id-pattern" "$left-a.*Ongoing" "$listed"
expect "kafka-transactions list, nothing else" "^1$" "$(grep -c "^tools" <<<"$listed")"
expect "kafka-transactions list --duration-filter" "$left-a.*Ongoing" "$(transactions list --duration-filter 1)"
expect "kafka-transactions list --duration-filter, not so long" "^TransactionalId.*[^g]$" "$(transactions list --duration-filter 3600000 --transactional-id-pattern "$left-a" | grep -v "^$left.*Empty")"
expect "kafka-transactions describe of an open one" "$left-a.*Ongoing.*600000.*$left-0" "$(transactions describe --transactional-id "$left-a")"
offset=$(transactions describe-producers --topic "$left" --partition 0 | awk 'NR > 1 { print $NF }')
expect "kafka-transactions describe-producers of an open one" "^[0-9]+$" "$offset"
expect "kafka-transactions find-hanging: its coordinator knows of it" "^0$" "$(transactions find-hanging --broker-id 1 --max-transaction-timeout 0 | grep -c "$left")"
expect "kafka-transactions abort, a wrong offset" "Could not find any open transactions" "$(transactions abort --topic "$left" --partition 0 --start-offset 77777777; cat "$work/err")"
expect "kafka-transactions abort" "^$" "$(transactions abort --topic "$left" --partition 0 --start-offset "$offset")"
expect "kafka-transactions describe-producers after the abort" "None\s*$" "$(transactions describe-producers --topic "$left" --partition 0 | tail -n 1)"
leave_open b
expect "kafka-transactions forceTerminateTransaction" "^$" "$(transactions forceTerminateTransaction --transactionalId "$left-b"; cat "$work/err")"
expect "kafka-transactions list after forceTerminateTransaction" "$left-b.*(CompleteAbort|Empty)" "$(for _ in $(seq 10); do transactions list --transactional-id-pattern "$left-b" | grep -E "CompleteAbort|Empty" && break; sleep 0.5; done)"
expect "kafka-console-consumer of read_committed" "^0$" "$(tool $tools.consumer.ConsoleConsumer --topic "$left" --from-beginning --isolation-level read_committed --timeout-ms 3000 | grep -c .)"

groups=$tools.consumer.group.ConsumerGroupCommand
tool $tools.consumer.ConsoleConsumer --topic "$topic-con" --group "$topic-group" --from-beginning --max-messages 1 --command-property enable.auto.commit=true >/dev/null
expect "kafka-console-consumer --group, kafka-consumer-groups --list" "^$topic-group$" "$(tool $groups --list)"
expect "kafka-consumer-groups --describe" "$topic-con +0 +2 +2 +0" "$(tool $groups --describe --group "$topic-group")"
expect "kafka-consumer-groups --describe --state" "$topic-group .* Empty +0" "$(tool $groups --describe --group "$topic-group" --state)"
expect "kafka-consumer-groups --reset-offsets" "$topic-con +0 +1" "$(tool $groups --reset-offsets --to-earliest --topic "$topic-con" --group "$topic-group" --execute)"
expect "kafka-consumer-groups --delete-offsets" "$topic-con +0 +Successful" "$(tool $groups --delete-offsets --topic "$topic-con" --group "$topic-group")"
expect "kafka-consumer-groups --delete" "successful" "$(tool $groups --delete --group "$topic-group")"
tool $tools.TopicCommand --delete --topic "$topic"
expect "kafka-topics --delete" "^gone$" "$(tool $tools.TopicCommand --list | grep -qx "$topic" && echo there || echo gone)"

echo "tools: $passed ok, $failed failed"
[ $failed = 0 ]
