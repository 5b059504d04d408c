package repo

func crashChild() bool { return false }
