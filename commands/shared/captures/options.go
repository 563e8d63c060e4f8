package captures

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"diagsh/capture"
	"diagsh/diag/system"
	"diagsh/internal/menu"
)

// CheckOption returns an error if one option of a capture is wrong, as far as that can be known
// without the others.
func CheckOption(o capture.Options, name string) error {
	if name == "cpus" {
		return checkCPUs(o.CPUs)
	}
	return nil
}

// checkCPUs returns an error for a CPU that the appliance may not run on.
func checkCPUs(list []int) error {
	usable, err := system.CPUs()
	if err != nil {
		return err
	}
	for _, n := range list {
		if !slices.Contains(usable, n) {
			return menu.BadArgument("cpus", "There is no CPU %d for the appliance", n).
				WithHint("It may use %s", strings.Trim(strings.ReplaceAll(fmt.Sprint(usable), " ", ","), "[]"))
		}
	}
	return nil
}

// Seconds returns a duration in seconds, rounded up; Unlimited stays Unlimited.
func Seconds(d time.Duration) int64 {
	if d == menu.Unlimited {
		return capture.Unlimited
	}
	return int64((d + time.Second - 1) / time.Second)
}
