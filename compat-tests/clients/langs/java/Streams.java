import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.time.Duration;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.JoinWindows;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.StreamJoined;
import org.apache.kafka.streams.state.KeyValueStore;

/**
 * A word count (topics PREFIX-lines, PREFIX-counts) and a join of two streams (PREFIX-left, PREFIX-right, PREFIX-joined) with
 * exactly_once_v2. Every change of a count is written, so that what read_committed sees of a word must be 1, 2, 3, ….
 */
public final class Streams {
    public static void main(String[] argv) throws Exception {
        Map<String, String> args = new HashMap<>();
        for (String arg : Arrays.copyOfRange(argv, 1, argv.length)) {
            String[] kv = arg.split("=", 2);
            args.put(kv[0], kv[1]);
        }
        Properties config = new Properties();
        config.putAll(Map.of("application.id", args.get("prefix"), "bootstrap.servers", args.get("bootstrap"), "state.dir", args.get("state"),
            "processing.guarantee", "exactly_once_v2", "statestore.cache.max.bytes", 0, "num.stream.threads", 2));
        config.putAll(Map.of("consumer.session.timeout.ms", 5000, "consumer.heartbeat.interval.ms", 300, "metadata.max.age.ms", 2000,
            "reconnect.backoff.max.ms", 200));
        config.putAll(Map.of("default.key.serde", Serdes.StringSerde.class, "default.value.serde", Serdes.StringSerde.class));
        KafkaStreams streams = new KafkaStreams(topology(args.get("prefix")).build(), config);
        streams.setStateListener((now, before) -> Story.say("state", now));
        streams.setUncaughtExceptionHandler(e -> {
            Story.say("error", e.toString().replace('\n', ' '));
            e.printStackTrace();
            return StreamThreadExceptionResponse.REPLACE_THREAD;
        });
        streams.start();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        for (String line = in.readLine(); line != null && !line.trim().equals("leave"); line = in.readLine()) {
            continue;
        }
        if (!streams.close(Duration.ofSeconds(30))) {
            throw new IllegalStateException("close timed out");
        }
        Story.say("left");
    }

    static StreamsBuilder topology(String prefix) {
        StreamsBuilder builder = new StreamsBuilder();
        builder.stream(prefix + "-lines", Consumed.with(Serdes.String(), Serdes.String()))
            .flatMapValues(line -> Arrays.asList(line.split(" ")))
            .groupBy((key, word) -> word, Grouped.as("words"))
            .count(Materialized.<String, Long, KeyValueStore<Bytes, byte[]>>as("counts"))
            .toStream()
            .mapValues(String::valueOf)
            .to(prefix + "-counts", Produced.with(Serdes.String(), Serdes.String()));
        KStream<String, String> left = builder.stream(prefix + "-left");
        KStream<String, String> right = builder.stream(prefix + "-right");
        left.join(right, (l, r) -> l + r, JoinWindows.ofTimeDifferenceWithNoGrace(Duration.ofHours(1)),
                StreamJoined.with(Serdes.String(), Serdes.String(), Serdes.String()).withName("pairs").withStoreName("pairs"))
            .to(prefix + "-joined");
        return builder;
    }
}
