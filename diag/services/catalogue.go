// Package services knows the services of an appliance by name.
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
	System      bool     `yaml:"system"` // of the system; else a feature of the appliance
	Processes   []string `yaml:"processes"`
}

// A Catalogue lists services, each name once.
type Catalogue []Service

// Parse reads a catalogue. Its error names the line, or the entry, at fault.
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
			return nil, fmt.Errorf("the service %q stands twice", s.Name)
		}
		seen[s.Name] = true
		if len(s.Processes) == 0 {
			s.Processes = []string{s.Name}
		}
	}
	return file.Services, nil
}

// With is the catalogue with the entries of another one, which take the place of those with the same name.
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

// commLength is what the kernel keeps of a process's name (TASK_COMM_LEN less the NUL).
const commLength = 15

// Of is the service that a process belongs to, nil if the catalogue has none.
func (c Catalogue) Of(process string) *Service {
	for i := range c {
		if slices.ContainsFunc(c[i].Processes, func(name string) bool { return name[:min(len(name), commLength)] == process }) {
			return &c[i]
		}
	}
	return nil
}
