package main

import (
	"slices"
	"strings"

	"github.com/sequoiacm/scmfs/fs"
	"github.com/sequoiacm/scmfs/writeback"
)

// policies are the flags of mount as they are for single workspaces: by
// workspace, the values of its section.
type policies map[string]map[string]any

// policies returns the sections of the file.
func (s *settings) policies() policies {
	all := policies{}
	if s.file == nil {
		return all
	}
	for key, v := range s.file.values {
		rest, ok := strings.CutPrefix(key, policyKey+policySep)
		if !ok {
			continue
		}
		ws, name, _ := strings.Cut(rest, policySep)
		if all[ws] == nil {
			all[ws] = map[string]any{}
		}
		all[ws][name] = v
	}
	return all
}

// flagsFor returns the flags that may differ, as they are for a workspace.
func (m *mountFlags) flagsFor(ws string) (*mountFlags, error) {
	own := &mountFlags{}
	set := schemaOf(own)
	own.readOnly, own.writeMode, own.conflict, own.increment, own.heldNames = m.readOnly, m.writeMode, m.conflict, m.increment, m.heldNames
	own.trash, own.trashDays = m.trash, m.trashDays
	for key, v := range m.policies[ws] {
		if err := setFlag(set.Lookup(key), v); err != nil {
			return nil, &badSetting{policyKey + policySep + ws + policySep + key, err.Error()}
		}
	}
	if _, set := m.policies[ws]["trash-days"]; own.trash == "" && !set {
		own.trashDays = 0 // of the trash that this workspace does without
	}
	return own, nil
}

// checkPolicies refuses sections that cannot be.
func (m *mountFlags) checkPolicies() error {
	for ws := range m.policies {
		prefix := policyKey + policySep + ws + policySep
		if len(m.place.workspaces) > 0 && !slices.Contains(m.place.workspaces, ws) {
			for key := range m.policies[ws] {
				return &badSetting{prefix + key, "workspace " + ws + " is not one of those to show"}
			}
		}
		own, err := m.flagsFor(ws)
		if err != nil {
			return err
		}
		if bad := own.checkWriting(); bad != nil {
			return &badSetting{prefix + bad.key, bad.text}
		}
	}
	return nil
}

// perWorkspace turns the sections into what tree and queue take.
func (m *mountFlags) perWorkspace() (map[string]fs.Policy, map[string]writeback.Policy, error) {
	tree, queue := map[string]fs.Policy{}, map[string]writeback.Policy{}
	for ws := range m.policies {
		own, err := m.flagsFor(ws)
		if err != nil {
			return nil, nil, err
		}
		o := own.writeback()
		tree[ws] = fs.Policy{ReadOnly: own.readOnly, Trash: strings.Trim(own.trash, "/"), TrashDays: own.trashDays}
		queue[ws] = writeback.Policy{Increment: o.Increment, WriteMode: &o.WriteMode, Conflict: &o.Conflict, HeldNames: o.HeldNames}
	}
	return tree, queue, nil
}
