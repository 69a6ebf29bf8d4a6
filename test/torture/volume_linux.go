package torture

import (
	"fmt"

	"golang.org/x/sys/unix"
)

func mountMemory(dir string, mib int) error {
	return unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm,mode=0755", mib))
}

func unmount(dir string) error { return unix.Unmount(dir, unix.MNT_DETACH) }
