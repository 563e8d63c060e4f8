package system

import (
	"os"

	"golang.org/x/sys/unix"
)

// CPUs returns the numbers of the CPUs that this process may run on (sched_getaffinity(2)).
func CPUs() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(os.Getpid(), &set); err != nil {
		return nil, os.NewSyscallError("sched_getaffinity", err)
	}
	var list []int
	for n := range len(set) * 64 {
		if set.IsSet(n) {
			list = append(list, n)
		}
	}
	return list, nil
}
