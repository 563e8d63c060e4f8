package azure

import (
	"fmt"
	"path"
	"strings"

	"diagsh/internal/menu"
)

// The types of what packets are captured on, as properties.targetType has them.
const (
	vmType  = "AzureVM"
	setType = "AzureVMSS"
)

// isSet reports whether a capture is of a scale set.
func (p properties) isSet() bool { return strings.EqualFold(p.TargetType, setType) }

// checkTarget compares what packets are to be captured on with this appliance, and completes the scope of
// a scale set.
func (s *Server) checkTarget(p *properties) *menu.Error {
	switch {
	case !oneOf(p.TargetType, vmType, setType):
		return wrong("targetType", "'%s' is neither %s nor %s", menu.Bounded(p.TargetType, 40), vmType, setType)
	case p.Target == "":
		return wrong("target", "it is missing")
	case p.isSet() && strings.EqualFold(trimmed(p.Target), s.machineID()):
		return wrong("targetType", "the target is a virtual machine, which needs %s", vmType)
	case !p.isSet() && strings.EqualFold(trimmed(p.Target), s.scaleSetID()):
		return wrong("targetType", "the target is a scale set, which needs %s", setType)
	case p.isSet() && !strings.EqualFold(trimmed(p.Target), s.scaleSetID()):
		return wrong("target", "there is no scale set '%s' here; %s is this appliance", menu.Bounded(p.Target, 300), s.scaleSetID())
	case !p.isSet() && !strings.EqualFold(trimmed(p.Target), s.machineID()):
		return wrong("target", "there is no virtual machine '%s' here; %s is this appliance", menu.Bounded(p.Target, 300), s.machineID())
	}
	return s.checkInstances(p)
}

// trimmed returns an identifier without a slash at its end.
func trimmed(id string) string { return strings.TrimSuffix(id, "/") }

// checkInstances checks the scope of a capture. Of the one appliance there is one instance, which must be
// in it.
func (s *Server) checkInstances(p *properties) *menu.Error {
	switch {
	case p.Scope == nil:
		return nil
	case !p.isSet() && len(p.Scope.Include)+len(p.Scope.Exclude) > 0:
		return wrong("scope", "it is for scale sets (targetType %s)", setType)
	case !p.isSet():
		p.Scope = nil
		return nil
	}
	for _, list := range []struct {
		field string
		names []string
	}{{"include", p.Scope.Include}, {"exclude", p.Scope.Exclude}} {
		for i, name := range list.names {
			field := fmt.Sprintf("scope.%s[%d]", list.field, i)
			of, number := path.Split(trimmed(name))
			if number != instance || of != "" && !strings.EqualFold(of, s.scaleSetID()+"/virtualMachines/") {
				return wrong(field, "there is no instance '%s' of the scale set; its only one is %s", menu.Bounded(name, 300), instance)
			}
			list.names[i] = s.scaleSetID() + "/virtualMachines/" + instance
		}
	}
	if len(p.Scope.Exclude) > 0 {
		return wrong("scope.exclude", "no instance is left: the only one is excluded")
	}
	p.Scope.Include, p.Scope.Exclude = append([]string{}, p.Scope.Include...), []string{}
	return nil
}

// instances returns the numbers of instances, whether they are named so or by their identifiers.
func instances(names []string) []string {
	numbers := []string{}
	for _, name := range names {
		numbers = append(numbers, path.Base(name))
	}
	return numbers
}
