// Package groupcoord is the group coordinator: consumer groups of both protocols, the classic one and that of
// KIP-848, and committed offsets, kept in __consumer_offsets in Kafka's own records.
//
// A Machine holds the groups of one partition; it is pure, and package coordinator runs it. Service finds
// the machine of a group. What is hard is what a record says: offsets, and the last recorded generation
// of each group. Who is joining, and all deadlines, are soft: they live in the machine and are lost with
// it, as in Kafka.
//
// What is not obvious:
//   - The classic state of a group is recorded when its leader has synced, when it becomes empty, when a
//     static member is replaced, and when the group is made. The steps move the group; its record follows
//     in the same outcome. A group that is Stable or Empty equals the replay of its last record.
//   - A generation that completed its join phase and was never synced is in no record. After a restart
//     its number is used again, for other members. So that no two generations that accept commits share
//     a number, and none accepts after a later one did, it never accepts a commit: Kafka takes them when
//     the next rebalance begins before the leader has synced, here they get REBALANCE_IN_PROGRESS as
//     before.
//   - Members are kept in the order in which they joined. Kafka keeps them in a hash map; where Kafka's
//     order decides (next leader, ties between protocols), ours is the first to have joined.
//   - A second JoinGroup or SyncGroup of a member whose first is still parked takes its place. Kafka never
//     answers the first; here it gets REBALANCE_IN_PROGRESS, which every client takes for "join again".
//   - Of a group of KIP-848 everything but deadlines is hard. Its steps change it by the save and drop
//     methods of machine_consumer_records.go, each of which is one record, and nothing is changed before all
//     that a request can be refused for was looked at. Topics are an input of each request; a group learns
//     of a change with the next heartbeat of any member.
//   - Patterns are resolved with the heartbeat that brings them. Kafka resolves them beside it, and answers
//     first without their topics.
//   - Deadlines lie in one heap, lazily: a heartbeat moves a member's deadline and touches no heap.
package groupcoord
