package fs

import (
	"context"
	"strconv"
	"strings"
	"syscall"
)

// The attributes user.scm.* show the store's side of a file. They are not listed:
// cp -a and rsync -X must not try to copy them.

// scm answers an attribute that shows the store's side of a file.
func (n *fileNode) scm(ctx context.Context, name string) (string, syscall.Errno) {
	n.mu.Lock()
	rec, d, id := n.rec, n.liveLocked(), n.id
	n.mu.Unlock()
	dirty := d != nil && d.Dirty()
	switch {
	case name == "id":
		return string(id), 0
	case name == "state" && dirty:
		return d.State().String(), 0
	case name == "acknowledged" && dirty:
		return strconv.FormatInt(d.Info().Acked, 10), 0
	case name == "state":
		return "published", 0
	case rec == nil:
		return "", syscall.ENODATA
	}
	switch name {
	case "acknowledged":
		return strconv.FormatInt(rec.Size, 10), 0
	case "version":
		return rec.Version.String(), 0
	case "data_id":
		return string(rec.Data), 0
	case "mime_type":
		return present(rec.MimeType)
	case "user":
		return present(rec.User)
	case "title", "author", "tags", "md5":
	default:
		return "", syscall.ENODATA
	}
	// Listings do not carry these.
	octx, cancel := n.ws.fs.op(ctx)
	defer cancel()
	f, err := n.ws.store.File(octx, id)
	if err != nil {
		return "", errnoOf(octx, err)
	}
	switch name {
	case "title":
		return present(f.Title)
	case "author":
		return present(f.Author)
	case "md5":
		return present(f.MD5)
	}
	return present(strings.Join(f.Tags, ","))
}

func present(v string) (string, syscall.Errno) {
	if v == "" {
		return "", syscall.ENODATA
	}
	return v, 0
}

// setSCM changes a property of a published file, one request each (protocol part
// 2, section 3.7). An empty value clears; the store can clear tags only.
func (n *fileNode) setSCM(ctx context.Context, name, value string) syscall.Errno {
	var property any = value
	switch name {
	case "title", "author", "mime_type":
		if value == "" {
			return syscall.EINVAL
		}
	case "tags":
		tags := []string{}
		for tag := range strings.SplitSeq(value, ",") {
			if tag = strings.TrimSpace(tag); tag != "" {
				tags = append(tags, tag)
			}
		}
		property = tags
	default:
		return syscall.EPERM
	}
	if len(value) > maxMetadata {
		return syscall.E2BIG
	}
	n.mu.Lock()
	id, published := n.id, n.rec != nil && !n.detached
	n.mu.Unlock()
	if !published {
		return syscall.EBUSY // there is nothing yet that could have a title
	}
	octx, cancel := n.ws.fs.deed(ctx)
	defer cancel()
	f, err := n.ws.store.SetProperty(octx, id, name, property)
	if err != nil {
		return errnoOf(octx, err)
	}
	n.ws.published(f)
	return 0
}
