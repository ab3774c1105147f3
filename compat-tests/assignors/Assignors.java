import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;

import org.apache.kafka.common.Uuid;
import org.apache.kafka.coordinator.group.api.assignor.ConsumerGroupPartitionAssignor;
import org.apache.kafka.coordinator.group.api.assignor.GroupSpec;
import org.apache.kafka.coordinator.group.api.assignor.MemberAssignment;
import org.apache.kafka.coordinator.group.api.assignor.MemberSubscription;
import org.apache.kafka.coordinator.group.api.assignor.SubscribedTopicDescriber;
import org.apache.kafka.coordinator.group.api.assignor.SubscriptionType;
import org.apache.kafka.coordinator.group.assignor.RangeAssignor;
import org.apache.kafka.coordinator.group.assignor.UniformAssignor;

/**
 * Gives the cases of groupcoord's TestAssignmentsBesideKafkas (standard input) to Apache Kafka's assignors and
 * prints a line for each: its number, a digest of range's assignment, and of uniform's the sum of the squares
 * of the loads and how many partitions members lost that they could have kept.
 */
public final class Assignors {
    private record Member(String id, Optional<String> instance, Set<Uuid> topics, Map<Uuid, Set<Integer>> had)
        implements MemberSubscription, MemberAssignment {
        @Override public Optional<String> rackId() { return Optional.empty(); }
        @Override public Optional<String> instanceId() { return instance; }
        @Override public Set<Uuid> subscribedTopicIds() { return topics; }
        @Override public Map<Uuid, Set<Integer>> partitions() { return had; }
    }

    private static final class Case implements GroupSpec, SubscribedTopicDescriber {
        final int number;
        final SubscriptionType type;
        final List<Uuid> topics = new ArrayList<>();
        final Map<Uuid, Integer> sizes = new HashMap<>();
        final TreeMap<String, Member> members = new TreeMap<>();

        Case(int number, boolean homogeneous) {
            this.number = number;
            this.type = homogeneous ? SubscriptionType.HOMOGENEOUS : SubscriptionType.HETEROGENEOUS;
        }

        @Override public Collection<String> memberIds() { return members.keySet(); }
        @Override public SubscriptionType subscriptionType() { return type; }
        @Override public boolean isPartitionAssigned(Uuid topic, int partition) {
            return members.values().stream().anyMatch(m -> m.had.getOrDefault(topic, Set.of()).contains(partition));
        }
        @Override public boolean isPartitionAssignable(Uuid topic, int partition) { return true; }
        @Override public MemberSubscription memberSubscription(String id) { return members.get(id); }
        @Override public MemberAssignment memberAssignment(String id) { return members.get(id); }
        @Override public int numPartitions(Uuid topic) { return sizes.getOrDefault(topic, -1); }
        @Override public Set<String> racksForPartition(Uuid topic, int partition) { return Set.of(); }

        /** A line of the file, split at blanks. */
        void read(String[] f) {
            if (f[0].equals("topic")) {
                Uuid id = new Uuid(Long.parseLong(f[2]), Long.parseLong(f[1]));
                topics.add(id);
                sizes.put(id, Integer.parseInt(f[3]));
                return;
            }
            String instance = f[2].substring(1, f[2].length() - 1);
            Set<Uuid> subscribed = new HashSet<>();
            Map<Uuid, Set<Integer>> had = new HashMap<>();
            int i = 4;
            for (; !f[i].equals("had"); i++) {
                subscribed.add(topics.get(Integer.parseInt(f[i])));
            }
            for (i++; i < f.length; i++) {
                String[] parts = f[i].split(":");
                Set<Integer> partitions = new TreeSet<>();
                for (String p : parts[1].split(",")) {
                    partitions.add(Integer.parseInt(p));
                }
                had.put(topics.get(Integer.parseInt(parts[0])), partitions);
            }
            members.put(f[1], new Member(f[1], instance.isEmpty() ? Optional.empty() : Optional.of(instance),
                subscribed, Collections.unmodifiableMap(had)));
        }

        Map<String, Map<Uuid, Set<Integer>>> assign(ConsumerGroupPartitionAssignor assignor) {
            Map<String, MemberAssignment> result = assignor.assign(this, this).members();
            Map<String, Map<Uuid, Set<Integer>>> out = new TreeMap<>();
            for (String id : members.keySet()) {
                out.put(id, result.containsKey(id) ? result.get(id).partitions() : Map.of());
            }
            return out;
        }

        String answer() throws Exception {
            StringBuilder text = new StringBuilder();
            assign(new RangeAssignor()).forEach((id, assignment) -> {
                text.append(id);
                for (int i = 0; i < topics.size(); i++) {
                    Set<Integer> partitions = assignment.getOrDefault(topics.get(i), Set.of());
                    if (!partitions.isEmpty()) {
                        text.append(' ').append(i).append(':').append(
                            new TreeSet<>(partitions).stream().map(String::valueOf).collect(Collectors.joining(",")));
                    }
                }
                text.append('\n');
            });
            byte[] hash = MessageDigest.getInstance("SHA-256").digest(text.toString().getBytes(StandardCharsets.UTF_8));
            StringBuilder digest = new StringBuilder();
            for (int i = 0; i < 8; i++) {
                digest.append(String.format("%02x", hash[i]));
            }
            int squares = 0;
            int lost = 0;
            for (Map.Entry<String, Map<Uuid, Set<Integer>>> e : assign(new UniformAssignor()).entrySet()) {
                int load = e.getValue().values().stream().mapToInt(Set::size).sum();
                squares += load * load;
                Member m = members.get(e.getKey());
                for (Map.Entry<Uuid, Set<Integer>> had : m.had.entrySet()) {
                    if (!m.topics.contains(had.getKey())) {
                        continue;
                    }
                    Set<Integer> has = e.getValue().getOrDefault(had.getKey(), Set.of());
                    lost += (int) had.getValue().stream().filter(p -> p < sizes.get(had.getKey()) && !has.contains(p)).count();
                }
            }
            return number + " " + digest + " " + squares + " " + lost;
        }
    }

    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        Case now = null;
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] f = line.split(" ");
            if (f[0].equals("case")) {
                if (now != null) {
                    System.out.println(now.answer());
                }
                now = new Case(Integer.parseInt(f[1]), Boolean.parseBoolean(f[2]));
            } else {
                now.read(f);
            }
        }
        System.out.println(now.answer());
    }

    private Assignors() { }
}
