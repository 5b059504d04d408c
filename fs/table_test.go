package fs

import (
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type testNode struct{ payload [64]byte }

func TestTableHandsBackTheSameObject(t *testing.T) {
	var tab table[string, testNode]
	made := 0
	create := func() *testNode { made++; return &testNode{} }
	a := tab.get("a", create)
	assert.Same(t, a, tab.get("a", create))
	assert.Same(t, a, tab.peek("a"))
	assert.Nil(t, tab.peek("b"))
	assert.Equal(t, 1, made)

	b := &testNode{}
	tab.bind("a", b)
	assert.Same(t, b, tab.peek("a"))
	tab.unbind("a", a) // a is no longer the object of its id
	assert.Same(t, b, tab.peek("a"))
	tab.unbind("a", b)
	assert.Nil(t, tab.peek("a"))
	runtime.KeepAlive(a)
}

func TestTableForgetsWhatNobodyHolds(t *testing.T) {
	var tab table[int, testNode]
	held := tab.get(-1, func() *testNode { return &testNode{} })
	for i := range 1000 {
		tab.get(i, func() *testNode { return &testNode{payload: [64]byte{byte(i)}} })
	}
	require.Eventually(t, func() bool { runtime.GC(); return tab.len() == 1 }, 1e10, 1e6)
	assert.Same(t, held, tab.peek(-1))
}

func TestTableConcurrently(t *testing.T) {
	var tab table[int, testNode]
	var wg sync.WaitGroup
	got := make([]*testNode, 8)
	for i := range got {
		wg.Go(func() { got[i] = tab.get(1, func() *testNode { return &testNode{} }) })
	}
	wg.Wait()
	for _, n := range got {
		assert.Same(t, got[0], n)
	}
}
