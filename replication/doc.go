// Package replication is the partition: role, epoch, ISR and high watermark, append and read as
// leader, and the delayed operations that wait for them.
package replication
