package confine

import "golang.org/x/sys/unix"

const architecture = unix.AUDIT_ARCH_X86_64

// architectureCalls are those of amd64: what Go calls where arm64 has the newer form only.
var architectureCalls = []uint32{unix.SYS_POLL, unix.SYS_NEWFSTATAT}
