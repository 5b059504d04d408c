package writeback

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestRules(t *testing.T) {
	async, fail := Async, ConflictFail
	q := &Queue{o: Options{Policies: map[string]Policy{
		"all":  {Increment: 5 << 20, WriteMode: &async, Conflict: &fail, HeldNames: []string{"*.x"}},
		"none": {HeldNames: []string{}},
	}}.withDefaults()}
	assert.Equal(t, rules{15 << 20, Sync, ConflictVersion, DefaultHeldNames}, q.rules("other"))
	assert.Equal(t, rules{5 << 20, Async, ConflictFail, []string{"*.x"}}, q.rules("all"))
	assert.Equal(t, rules{15 << 20, Sync, ConflictVersion, []string{}}, q.rules("none"), "none is held")
}
