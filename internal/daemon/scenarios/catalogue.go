package scenarios

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"diagsh/capture"
	"diagsh/internal/access"
	"diagsh/internal/menu"
)

const (
	suffix   = ".yaml" // of the files of scenarios
	maxFile  = 64 << 10
	maxFiles = 1000
)

// parse reads the file of a scenario. Its error names the line or the member at fault.
func parse(name string, text []byte) (access.Scenario, error) {
	var file struct {
		Description string         `yaml:"description"`
		Options     map[string]any `yaml:"options"`
		PortLog     bool           `yaml:"portLog"`
		Tables      []access.Table `yaml:"tables"`
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil && err != io.EOF {
		return access.Scenario{}, err
	}
	s := access.Scenario{Name: name, Description: file.Description, Options: file.Options, PortLog: file.PortLog, Tables: file.Tables}
	switch {
	case !capture.PlainName("x"+name) || strings.EqualFold(name, access.NoScenario): // all is a name here
		return s, fmt.Errorf("%q is not a name for a scenario", name)
	case s.Description == "":
		return s, errors.New("it needs a description")
	}
	if s.Options == nil {
		s.Options = map[string]any{}
	}
	if s.Tables == nil {
		s.Tables = []access.Table{}
	}
	for i, t := range s.Tables {
		if t.Title == "" || t.Line == "" {
			return s, fmt.Errorf("table %d needs a title and a line", i+1)
		}
	}
	_, err := partial(s)
	return s, err
}

// partial returns the options that a scenario gives.
func partial(s access.Scenario) (p capture.Partial, err error) {
	for name, value := range s.Options {
		text, err := json.Marshal(value)
		if err != nil || name == "scenario" || !p.Give(name, text) {
			return p, fmt.Errorf("options: %s is not an option of a capture with the value %v", name, value)
		}
	}
	slices.Sort(p.Given)
	return p, nil
}

// readFolder reads the scenarios of a folder. One that is not there has none.
func readFolder(folder fs.FS) (list []access.Scenario, err error) {
	if folder == nil {
		return nil, nil
	}
	entries, err := fs.ReadDir(folder, ".")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), suffix)
		if !ok || len(list) == maxFiles {
			continue
		}
		text, err := readBounded(folder, e.Name())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.Name(), err)
		}
		s, err := parse(name, text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.Name(), err)
		}
		list = append(list, s)
	}
	return list, nil
}

func readBounded(folder fs.FS, name string) ([]byte, error) {
	f, err := folder.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("it is larger than %s", menu.Size(maxFile))
	}
	return text, err
}

// Scenarios returns all scenarios in the order of their names: the appliance's own, and a vendor's,
// whose folder is read each time, so that a change holds at once.
func (r *Room) Scenarios() ([]access.Scenario, error) {
	list := slices.Clone(r.own)
	vendors, err := readFolder(os.DirFS(r.o.Folder))
	if err != nil {
		return nil, menu.Errorf(menu.Failed, "A scenario of the vendor is not right: %s", menu.Clean(err.Error())).
			WithHint("Mend it, or remove it")
	}
	for _, v := range vendors {
		v.Vendor = true
		list = slices.DeleteFunc(list, func(own access.Scenario) bool { return own.Name == v.Name })
		list = append(list, v)
	}
	slices.SortFunc(list, func(a, b access.Scenario) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// Scenario returns the scenario of a name.
func (r *Room) Scenario(name string) (access.Scenario, error) {
	list, err := r.Scenarios()
	if err != nil {
		return access.Scenario{}, err
	}
	var names []string
	for _, s := range list {
		if s.Name == name {
			return s, nil
		}
		names = append(names, s.Name)
	}
	e := &menu.Error{Code: menu.NotFound, Argument: "scenario", Message: "There is no scenario " + menu.Quoted(name)}
	if near := menu.Nearest(name, names); near != "" {
		return access.Scenario{}, e.WithHint("Did you mean %s?", near)
	}
	return access.Scenario{}, e.WithHint("There are %s; %s for none", strings.Join(names, ", "), access.NoScenario)
}
