package fs

import "golang.org/x/sys/unix"

// directFlags sorts the mount options that mount(2) wants as bits from those
// that it takes as text; FUSE answers EINVAL to the former as text. The order of
// two that contradict each other counts: the last one wins.
func directFlags(options []string) (flags uintptr, text []string) {
	const atime = unix.MS_NOATIME | unix.MS_RELATIME | unix.MS_STRICTATIME
	flags = unix.MS_NOSUID | unix.MS_NODEV
	for _, o := range options {
		switch o {
		case "noatime":
			flags = flags&^atime | unix.MS_NOATIME
		case "relatime", "atime":
			flags = flags&^atime | unix.MS_RELATIME
		case "strictatime":
			flags = flags&^atime | unix.MS_STRICTATIME
		case "nodiratime":
			flags |= unix.MS_NODIRATIME
		case "diratime":
			flags &^= unix.MS_NODIRATIME
		default:
			text = append(text, o)
		}
	}
	return flags, text
}
