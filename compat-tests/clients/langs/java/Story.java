import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Future;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.Headers;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** The Java client in the roles of README.md. */
public final class Story {
    static final int PARTITIONS = 3;
    static final Map<String, String> args = new HashMap<>();
    static volatile boolean leaving;

    public static void main(String[] argv) throws Exception {
        for (String arg : Arrays.copyOfRange(argv, 1, argv.length)) {
            String[] kv = arg.split("=", 2);
            args.put(kv[0], kv[1]);
        }
        Thread listener = new Thread(Story::listen);
        listener.setDaemon(true);
        listener.start();
        switch (argv[0]) {
            case "roundtrip" -> roundtrip();
            case "member" -> member();
            case "copy" -> copy();
            default -> throw new IllegalArgumentException(argv[0]);
        }
        say("left");
    }

    static void listen() {
        try (BufferedReader in = new BufferedReader(new InputStreamReader(System.in))) {
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                leaving |= line.trim().equals("leave");
            }
        } catch (java.io.IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }

    static synchronized void say(Object... words) {
        System.out.println(String.join(" ", Arrays.stream(words).map(String::valueOf).toList()));
        System.out.flush();
    }

    static Map<String, Object> config(Object... keysAndValues) {
        Map<String, Object> config = new HashMap<>(Map.of("bootstrap.servers", args.get("bootstrap"),
            "key.serializer", ByteArraySerializer.class, "value.serializer", ByteArraySerializer.class,
            "key.deserializer", ByteArrayDeserializer.class, "value.deserializer", ByteArrayDeserializer.class));
        for (int i = 0; i < keysAndValues.length; i += 2) {
            config.put((String) keysAndValues[i], keysAndValues[i + 1]);
        }
        return config;
    }

    static byte[] bytes(String s) {
        return s == null ? null : s.getBytes(StandardCharsets.UTF_8);
    }

    static List<ProducerRecord<byte[], byte[]>> records(String run, long start) {
        List<ProducerRecord<byte[], byte[]>> list = new ArrayList<>();
        for (int i = 0; i < 60; i++) {
            String key = i % 5 == 0 ? null : "k" + i;
            String value = i % 7 == 0 ? null : i % 7 == 1 ? "" : (run + " " + i + " ").repeat(i * 20 + 1);
            ProducerRecord<byte[], byte[]> r =
                new ProducerRecord<>(args.get("topic"), i % PARTITIONS, start + i, bytes(key), bytes(value));
            r.headers().add("run", bytes(run)).add("n", bytes("" + i)).add("n", bytes("again")).add("empty", bytes(""))
                .add("null", null);
            list.add(r);
        }
        return list;
    }

    static String show(int partition, byte[] key, byte[] value, Headers headers, long timestamp) {
        StringBuilder s = new StringBuilder().append(partition).append(' ').append(timestamp).append(' ').append(text(key)).append(' ');
        for (Header h : headers) {
            s.append(h.key()).append('=').append(text(h.value())).append(' ');
        }
        return s.append(text(value)).toString();
    }

    static String text(byte[] b) {
        return b == null ? "null" : "'" + new String(b, StandardCharsets.UTF_8) + "'";
    }

    static void require(boolean condition, String what) {
        if (!condition) {
            throw new AssertionError(what);
        }
    }

    static void roundtrip() throws Exception {
        long start = System.currentTimeMillis() - 3600_000;
        Map<String, List<String>> sent = new TreeMap<>();
        List<String[]> runs = new ArrayList<>();
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            runs.add(new String[] {codec, "all", "true"});
        }
        runs.addAll(List.of(new String[] {"none", "0", "false"}, new String[] {"none", "1", "false"}, new String[] {"gzip", "all", "false"}));
        for (String[] run : runs) {
            String name = String.join("-", run);
            try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(config("compression.type", run[0], "acks", run[1],
                    "enable.idempotence", run[2], "linger.ms", 20))) {
                List<Future<RecordMetadata>> futures = new ArrayList<>();
                for (ProducerRecord<byte[], byte[]> r : records(name, start)) {
                    sent.computeIfAbsent(name + "/" + r.partition(), k -> new ArrayList<>())
                        .add(show(r.partition(), r.key(), r.value(), r.headers(), r.timestamp()));
                    futures.add(producer.send(r));
                }
                producer.flush();
                Map<Integer, Long> last = new HashMap<>();
                for (Future<RecordMetadata> f : futures) {
                    RecordMetadata md = f.get();
                    require(run[1].equals("0") || md.offset() > last.getOrDefault(md.partition(), -1L), "offsets do not rise");
                    last.put(md.partition(), md.offset());
                }
            }
        }
        readBack(sent, runs.size(), start);
    }

    static void readBack(Map<String, List<String>> sent, int runs, long start) {
        List<TopicPartition> tps = new ArrayList<>();
        for (int p = 0; p < PARTITIONS; p++) {
            tps.add(new TopicPartition(args.get("topic"), p));
        }
        Map<String, List<String>> read = new TreeMap<>();
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(config("auto.offset.reset", "earliest"))) {
            consumer.assign(tps);
            long until = System.currentTimeMillis() + 20_000;
            for (int missing = runs * 60; missing > 0 && System.currentTimeMillis() < until;) {
                for (ConsumerRecord<byte[], byte[]> r : consumer.poll(Duration.ofMillis(200))) {
                    String run = new String(r.headers().headers("run").iterator().next().value(), StandardCharsets.UTF_8);
                    read.computeIfAbsent(run + "/" + r.partition(), k -> new ArrayList<>())
                        .add(show(r.partition(), r.key(), r.value(), r.headers(), r.timestamp()));
                    missing--;
                }
            }
            require(sent.keySet().equals(read.keySet()), "read " + read.keySet() + ", wrote " + sent.keySet());
            for (String run : sent.keySet()) {
                require(sent.get(run).equals(read.get(run)), run + " differs");
            }
            say("compared", runs * 60);
            var at = consumer.offsetsForTimes(Map.of(tps.get(0), start + 30)).get(tps.get(0));
            require(at.offset() == 10 && at.timestamp() == start + 30, "offsetsForTimes gave " + at);
            for (long end : consumer.endOffsets(tps).values()) {
                require(end == 20L * runs, "end offset " + end);
            }
        }
    }

    static KafkaConsumer<byte[], byte[]> consumer(Object... more) {
        Map<String, Object> config = config(more);
        config.putAll(config("group.id", args.get("group"), "enable.auto.commit", false, "auto.offset.reset", "earliest",
            "metadata.max.age.ms", 1000, "reconnect.backoff.max.ms", 200, "max.poll.records", 50));
        if ("consumer".equals(args.get("protocol"))) {
            config.put("group.protocol", "consumer");
        } else {
            config.putAll(config("session.timeout.ms", 5000, "heartbeat.interval.ms", 300));
            if (args.containsKey("assignor")) {
                config.put("partition.assignment.strategy", "org.apache.kafka.clients.consumer." + args.get("assignor") + "Assignor");
            }
        }
        return new KafkaConsumer<>(config);
    }

    /** Commits what was processed, at the latest when its partitions go. */
    static final class Commits implements ConsumerRebalanceListener {
        final KafkaConsumer<byte[], byte[]> consumer;
        final List<String> got = new ArrayList<>();
        final Map<TopicPartition, OffsetAndMetadata> positions = new HashMap<>();

        Commits(KafkaConsumer<byte[], byte[]> consumer) {
            this.consumer = consumer;
        }

        void processed(ConsumerRecords<byte[], byte[]> batch) {
            for (TopicPartition tp : batch.partitions()) {
                List<ConsumerRecord<byte[], byte[]>> rs = batch.records(tp);
                long first = rs.get(0).offset();
                long last = rs.get(rs.size() - 1).offset();
                require(last - first == rs.size() - 1, "a gap");
                String span = tp.partition() + " " + first + " " + last;
                say("got", span);
                got.add(span);
                positions.put(tp, new OffsetAndMetadata(last + 1));
            }
        }

        void commit() {
            if (got.isEmpty()) {
                return;
            }
            consumer.commitSync(positions);
            got.forEach(span -> say("done", span));
            got.clear();
            positions.clear();
        }

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> revoked) {
            try {
                commit();
            } catch (CommitFailedException | RebalanceInProgressException e) {
                onPartitionsLost(revoked);
            }
        }

        @Override
        public void onPartitionsLost(Collection<TopicPartition> lost) {
            got.removeIf(span -> lost.stream().anyMatch(tp -> span.startsWith(tp.partition() + " ")));
            positions.keySet().removeAll(lost);
        }

        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> assigned) {
        }
    }

    static void member() {
        try (KafkaConsumer<byte[], byte[]> consumer = consumer()) {
            Commits commits = new Commits(consumer);
            consumer.subscribe(List.of(args.get("topic")), commits);
            while (!leaving) {
                try {
                    commits.processed(consumer.poll(Duration.ofMillis(100)));
                    commits.commit();
                } catch (RebalanceInProgressException e) {
                    continue; // the documented answer is to poll again
                } catch (KafkaException e) {
                    say("error", e); // an application would see it
                }
            }
        }
    }

    static void copy() {
        try (KafkaConsumer<byte[], byte[]> consumer = consumer("isolation.level", "read_committed");
             KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(config("transactional.id", args.get("txid"),
                 "transaction.timeout.ms", 20_000, "linger.ms", 5, "reconnect.backoff.max.ms", 200))) {
            producer.initTransactions();
            consumer.subscribe(List.of(args.get("topic")));
            while (!leaving) {
                ConsumerRecords<byte[], byte[]> batch = consumer.poll(Duration.ofMillis(100));
                if (batch.isEmpty()) {
                    continue;
                }
                producer.beginTransaction();
                Map<TopicPartition, OffsetAndMetadata> positions = new HashMap<>();
                for (ConsumerRecord<byte[], byte[]> r : batch) {
                    producer.send(new ProducerRecord<>(args.get("out"), r.partition(), r.key(), bytes(new String(r.value()) + "+")));
                    positions.put(new TopicPartition(r.topic(), r.partition()), new OffsetAndMetadata(r.offset() + 1));
                }
                producer.sendOffsetsToTransaction(positions, consumer.groupMetadata());
                producer.commitTransaction();
                say("committed", batch.count());
            }
        }
    }
}
