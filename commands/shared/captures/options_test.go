package captures

import (
	"testing"

	"diagsh/capture"
)

func TestCPUsThatAreNotThere(t *testing.T) {
	if err := CheckOption(capture.Options{CPUs: []int{9999}}, "cpus"); err == nil {
		t.Error("a CPU that no machine has was taken")
	}
}
