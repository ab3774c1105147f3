package metadata

import (
	"fmt"
	"sort"
	"strings"
)

// keptKey is the identity of a kept record: a later record with the same key replaces it.
type keptKey struct {
	kind int16
	id   string
}

// keep stores records of subsystems outside of the image (ACLs, quotas, SCRAM, delegation tokens,
// controllers), and takes them away again when their removing record comes.
func (b *builder) keep(rec Record) error {
	if key, ok := removedBy(rec); ok {
		if _, there := b.kept.get(key); !there {
			return fmt.Errorf("there is nothing to remove with key %q", key.id)
		}
		b.kept.remove(key)
		return nil
	}
	key, ok := keyOf(rec)
	if !ok {
		return fmt.Errorf("record type %d cannot stand here", rec.Key())
	}
	if q, isQuota := rec.(*ClientQuotaRecord); isQuota && q.Remove {
		b.kept.remove(key)
		return nil
	}
	b.kept.set(key, rec)
	return nil
}

func keyOf(rec Record) (keptKey, bool) {
	var id string
	switch r := rec.(type) {
	case *AccessControlEntryRecord:
		id = r.ID.String()
	case *ClientQuotaRecord:
		id = quotaID(r)
	case *UserScramCredentialRecord:
		id = scramID(r.Mechanism, r.Name)
	case *DelegationTokenRecord:
		id = r.TokenID
	case *RegisterControllerRecord:
		id = fmt.Sprint(r.ControllerID)
	case *ZkMigrationStateRecord:
	default:
		return keptKey{}, false
	}
	return keptKey{rec.Key(), id}, true
}

func removedBy(rec Record) (keptKey, bool) {
	switch r := rec.(type) {
	case *RemoveAccessControlEntryRecord:
		return keptKey{KeyAccessControlEntry, r.ID.String()}, true
	case *RemoveUserScramCredentialRecord:
		return keptKey{KeyUserScramCredential, scramID(r.Mechanism, r.Name)}, true
	case *RemoveDelegationTokenRecord:
		return keptKey{KeyDelegationToken, r.TokenID}, true
	case *UnregisterControllerRecord:
		return keptKey{KeyRegisterController, fmt.Sprint(r.ControllerID)}, true
	}
	return keptKey{}, false
}

func scramID(mechanism int8, name string) string { return fmt.Sprintf("%d %s", mechanism, name) }

// quotaID does not depend on the order in which the entity's parts came.
func quotaID(r *ClientQuotaRecord) string {
	parts := make([]string, 0, len(r.Entity))
	for _, e := range r.Entity {
		name := "default"
		if e.EntityName != nil {
			name = fmt.Sprintf("%q", *e.EntityName)
		}
		parts = append(parts, e.EntityType+"="+name)
	}
	sort.Strings(parts)
	return strings.Join(parts, ",") + " " + r.QuotaKey
}
