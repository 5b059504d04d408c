package fs

import "context"

// notifier tells the kernel to drop what it remembers. A notification may wait
// for requests that are being answered, so none is ever sent from a handler: one
// goroutine sends them, one after the other.
type notifier struct {
	queue chan func()
}

// notifyQueue bounds what waits. What does not fit is dropped: the kernel then
// believes what it has until the expiry, as without a notification.
const notifyQueue = 1024

func newNotifier() *notifier { return &notifier{queue: make(chan func(), notifyQueue)} }

func (n *notifier) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case send := <-n.queue:
			send()
		}
	}
}

func (n *notifier) post(send func()) {
	select {
	case n.queue <- send:
	default:
	}
}

// attributesChanged lets the kernel drop the attributes of a file, contentChanged
// its pages as well. The answer does not matter: ENOENT means that the kernel had
// nothing to drop.
func (fs *FS) attributesChanged(n *fileNode) { fs.invalidate(n, -1) }
func (fs *FS) contentChanged(n *fileNode)    { fs.invalidate(n, 0) }

// nameGone lets the kernel drop the name of a file.
func (fs *FS) nameGone(n *fileNode) {
	fs.notify.post(func() {
		if name, parent := n.Parent(); parent != nil {
			_ = parent.NotifyEntry(name)
		}
	})
}

func (fs *FS) invalidate(n *fileNode, off int64) {
	fs.notify.post(func() {
		fs.inodeMu.Lock()
		known := n.StableAttr().Ino != 0 // else the kernel has never heard of it
		fs.inodeMu.Unlock()
		if known {
			_ = n.NotifyContent(off, 0)
		}
	})
}
