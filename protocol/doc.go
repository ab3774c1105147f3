// Package protocol is the wire and the record batch: bounded frames, request headers, the check that
// untrusted bytes pass before kmsg decodes them, zero-copy views of record batches, their validation,
// and the batches that the broker writes itself. All other message types are kmsg's.
package protocol
