package captures

import "testing"

func TestCPUsThatAreNotThere(t *testing.T) {
	if err := (Options{CPUs: []string{"9999"}}).Check("cpus"); err == nil {
		t.Error("a CPU that no machine has was taken")
	}
}
