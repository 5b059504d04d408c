package repo

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// Clients that have nothing to do with one another share transactions, and none of
// them sees anything of that: what each does with files of its own always works. Files
// of many versions, so that a removal empties leaves of the database.
func TestClientsOfTheirOwnFiles(t *testing.T) {
	f := newFixture(t, Options{})
	var wg sync.WaitGroup
	for client := range 12 {
		dir := f.mkdir(fmt.Sprint("/", client))
		r := rand.New(rand.NewPCG(uint64(client), 1))
		wg.Go(func() {
			versions := map[string]int64{} // by id
			var ids []string
			for step := range 300 {
				deed, id := []int{0, 1, 1, 1, 1, 1, 1, 1, 1, 3, 4, 5}[r.IntN(12)], ""
				if len(ids) > 0 {
					id = ids[r.IntN(len(ids))]
				}
				if id == "" {
					deed = 0
				}
				var d wire.Doc
				var err error
				switch deed {
				case 0:
					d, err = f.CreateFile(admin, "ws", named(fmt.Sprint("f", step), dir), UploadConfig{}, strings.NewReader("x"))
					if id = str(d, "id"); err == nil {
						ids, versions[id] = append(ids, id), 1
					}
				case 1:
					d, err = f.UpdateContent(admin, "ws", id, Current, false, strings.NewReader(fmt.Sprint(step)))
					versions[id]++
				case 3:
					d, err = f.UpdateFile(admin, "ws", id, Current, wire.Doc{{Key: "name", Value: fmt.Sprint("g", step)}})
				case 4:
					d, err = f.File(admin, "ws", FileRef{ID: id}, Current)
				case 5:
					err = f.DeleteFile(admin, "ws", FileRef{ID: id})
					delete(versions, id)
					ids = slices.DeleteFunc(ids, func(other string) bool { return other == id })
				}
				if !assert.NoError(t, err, "client %d, step %d, deed %d", client, step, deed) {
					return
				}
				if major, _ := d.Get("major_version"); deed == 4 && !assert.EqualValues(t, versions[id], major) {
					return
				}
			}
			n := 0
			for d, err := range f.FilesOf(admin, "ws", dir, Query{Limit: -1}) {
				assert.NoError(t, err)
				major, _ := d.Get("major_version")
				assert.EqualValues(t, versions[str(d, "id")], major)
				n++
			}
			assert.Len(t, ids, n)
		})
	}
	wg.Wait()
}
