// Package services describes the services of an appliance by name.
package services

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A Service is an entry of the catalogue.
type Service struct {
	Name        string   `yaml:"name"`
	Description string   `yaml:"description"`
	System      bool     `yaml:"system"` // of the system; otherwise a feature of the appliance
	Processes   []string `yaml:"processes"`
	Units       []string `yaml:"units"` // of systemd: the first one installed is the service's
}

// A Catalogue is a list of services with distinct names.
type Catalogue []Service

// Parse parses a catalogue. Its error names the line or the entry at fault.
func Parse(text []byte) (Catalogue, error) {
	var file struct {
		Services Catalogue `yaml:"services"`
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil && err != io.EOF {
		return nil, err
	}
	seen := map[string]bool{}
	for i := range file.Services {
		s := &file.Services[i]
		if s.Name == "" || s.Description == "" || strings.ContainsFunc(s.Name, func(r rune) bool { return r <= ' ' }) {
			return nil, fmt.Errorf("service %d needs a name without blanks and a description", i+1)
		}
		if seen[s.Name] {
			return nil, fmt.Errorf("the service %q is listed twice", s.Name)
		}
		seen[s.Name] = true
		if len(s.Processes) == 0 {
			s.Processes = []string{s.Name}
		}
		if len(s.Units) == 0 {
			s.Units = []string{s.Name + ".service"}
		}
	}
	return file.Services, nil
}

// With returns the catalogue with the entries of more added. They replace entries of the same name.
func (c Catalogue) With(more Catalogue) Catalogue {
	merged := slices.Clone(more)
	for _, s := range c {
		if !slices.ContainsFunc(more, func(m Service) bool { return m.Name == s.Name }) {
			merged = append(merged, s)
		}
	}
	slices.SortFunc(merged, func(a, b Service) int { return cmp.Compare(a.Name, b.Name) })
	return merged
}

// commLength is how much of a process's name the kernel keeps (TASK_COMM_LEN less the NUL).
const commLength = 15

// Named returns the service with a name, or nil.
func (c Catalogue) Named(name string) *Service {
	for i := range c {
		if c[i].Name == name {
			return &c[i]
		}
	}
	return nil
}

// Has reports whether a process of this name belongs to the service.
func (s *Service) Has(process string) bool {
	return slices.ContainsFunc(s.Processes,
		func(name string) bool { return name[:min(len(name), commLength)] == process })
}

// Of returns the service that a process belongs to, or nil.
func (c Catalogue) Of(process string) *Service {
	for i := range c {
		if c[i].Has(process) {
			return &c[i]
		}
	}
	return nil
}
