package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"diagsh/internal/menu"
)

// MaxBytes limits the text of a document.
const MaxBytes = 256 << 10

// A Fault is an error in a document.
type Fault struct {
	Line    int    `json:"line,omitempty"` // of the text that was read; 0 if there was none
	Path    Path   `json:"-"`
	Setting string `json:"setting,omitempty"`
	Message string `json:"message"`
}

func (f Fault) String() string {
	var b strings.Builder
	if f.Line > 0 {
		fmt.Fprintf(&b, "line %d: ", f.Line)
	}
	if f.Setting != "" {
		b.WriteString(f.Setting + ": ")
	}
	return b.String() + f.Message
}

// Lines maps settings to their lines in a text.
type Lines map[Path]int

// Parse parses the text of a document and checks it against the schema. It returns every fault with
// its line. The document has everything that could be read, also if there are faults.
func Parse(text []byte) (Document, Lines, []Fault) {
	r := reader{document: Document{}, lines: Lines{}}
	if len(text) > MaxBytes {
		return r.document, r.lines, []Fault{{Line: 1,
			Message: fmt.Sprintf("the document is longer than %d bytes", MaxBytes)}}
	}
	roots, err := nodes(text)
	if err != nil {
		return r.document, r.lines, []Fault{syntaxFault(text, err)}
	}
	if len(roots) > 0 {
		r.top(roots[0].Content[0])
	}
	if len(roots) > 1 {
		r.fault(roots[1], "", "a second document begins here, and a configuration is one")
	}
	r.completeVLANs()
	slices.SortStableFunc(r.faults, func(a, b Fault) int { return a.Line - b.Line })
	return r.document, r.lines, r.faults
}

// nodes reads the first two documents of a text; there may be only one.
func nodes(text []byte) ([]*yaml.Node, error) {
	var list []*yaml.Node
	for d := yaml.NewDecoder(bytes.NewReader(text)); len(list) < 2; {
		root := new(yaml.Node)
		switch err := d.Decode(root); {
		case errors.Is(err, io.EOF):
			return list, nil
		case err != nil:
			return nil, err
		}
		list = append(list, root)
	}
	return list, nil
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line \d+: )?`)

// syntaxFault finds the line of an error of the YAML reader. The reader names the line where the
// mapping or list around the fault begins, or the one before the fault (parser.fail in its
// decode.go). The fault is in the first line with which the text up to it fails in the same words.
func syntaxFault(text []byte, err error) Fault {
	ends := []int{0}
	for line := range bytes.Lines(text) {
		ends = append(ends, ends[len(ends)-1]+len(line))
	}
	line := 1 + sort.Search(len(ends)-2, func(i int) bool {
		_, other := nodes(text[:ends[i+1]])
		return other != nil && other.Error() == err.Error()
	})
	return Fault{Line: line, Message: "this is not YAML: " +
		strings.ToValidUTF8(yamlLine.ReplaceAllString(err.Error(), ""), "?")}
}

type reader struct {
	document Document
	lines    Lines
	faults   []Fault
}

func (r *reader) fault(at *yaml.Node, setting, format string, args ...any) {
	r.faults = append(r.faults, Fault{Line: at.Line, Setting: menu.Clean(menu.Bounded(setting, 64)),
		Message: fmt.Sprintf(format, args...)})
}

// pairs walks through a mapping, whose keys must be plain and unique.
func (r *reader) pairs(mapping *yaml.Node, above string, each func(key, value *yaml.Node)) {
	if isNull(mapping) {
		return // It is empty, or has only comments.
	}
	if mapping.Kind != yaml.MappingNode {
		r.fault(mapping, strings.TrimSuffix(above, "."), `lines of the form "name: value" belong here`)
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		key, value := mapping.Content[i], mapping.Content[i+1]
		switch {
		case key.Kind != yaml.ScalarNode:
			r.fault(key, strings.TrimSuffix(above, "."), "a name belongs before the colon")
		case seen[key.Value]:
			r.fault(key, above+key.Value, "it is there twice")
		default:
			seen[key.Value] = true
			each(key, value)
		}
	}
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

func (r *reader) top(root *yaml.Node) {
	r.pairs(root, "", func(key, value *yaml.Node) {
		section := Path{Section: key.Value}
		i := place(section)
		switch {
		case i < 0:
			r.unknown(key, key.Value, sections())
		case schema[i].field == "":
			r.value(section, key, value)
		default:
			r.objects(key.Value, value)
		}
	})
}

func (r *reader) objects(section string, value *yaml.Node) {
	r.pairs(value, section+".", func(name, object *yaml.Node) {
		above := section + "." + name.Value + "."
		if !PlainInterface(name.Value) {
			r.fault(name, section+"."+name.Value, "%v", errInterface)
			return
		}
		if object.Kind != yaml.MappingNode {
			r.fault(name, section+"."+name.Value, "its settings belong below it: %s",
				strings.Join(fields(section), ", "))
			return
		}
		r.pairs(object, above, func(key, value *yaml.Node) {
			p := Path{section, name.Value, key.Value}
			if fieldPlace(p) < 0 {
				r.unknown(key, above+key.Value, fields(section))
				return
			}
			r.value(p, key, value)
		})
	})
}

func (r *reader) value(p Path, key, value *yaml.Node) {
	if value.Kind != yaml.ScalarNode || isNull(value) {
		r.fault(key, p.String(), "one value belongs here")
		return
	}
	text, err := Read(p, value.Value)
	if err != nil {
		r.fault(value, p.String(), "%v", err)
		return
	}
	r.document[p], r.lines[p] = text, key.Line
}

func (r *reader) unknown(at *yaml.Node, setting string, known []string) {
	word := setting[strings.LastIndexByte(setting, '.')+1:]
	if near := menu.Nearest(word, known); near != "" {
		r.fault(at, setting, "there is no such setting; did you mean %s?", near)
		return
	}
	r.fault(at, setting, "there is no such setting; there are %s", strings.Join(known, ", "))
}

// completeVLANs requires both parts of a VLAN.
func (r *reader) completeVLANs() {
	for _, p := range r.document.Paths() {
		other := ParentOf(p.Name)
		if p.Field == "parent" {
			other = IDOf(p.Name)
		}
		if _, ok := r.document[other]; p.Section == "vlans" && !ok && !r.blamed(other) {
			r.faults = append(r.faults, Fault{r.lines[p], other, "vlans." + p.Name, other.Field + " is missing"})
		}
	}
}

func (r *reader) blamed(p Path) bool {
	return slices.ContainsFunc(r.faults, func(f Fault) bool { return f.Setting == p.String() })
}

func sections() []string {
	var list []string
	for _, k := range schema {
		list = append(list, k.section)
	}
	return slices.Compact(list)
}

func fields(section string) []string {
	var list []string
	for _, k := range schema {
		if k.section == section {
			list = append(list, k.field)
		}
	}
	return list
}

// YAML returns the document's text. Parse restores the document from it.
func (d Document) YAML() []byte {
	root := &yaml.Node{Kind: yaml.MappingNode}
	for _, p := range d.Paths() {
		at, word := root, p.Section
		if p.Name != "" {
			at, word = below(below(root, p.Section), p.Name), p.Field
		}
		value := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: d[p]}
		if schema[fieldPlace(p)].number {
			value.Tag = "!!int"
		}
		if strings.Contains(d[p], "\n") {
			value.Style = yaml.LiteralStyle
		}
		at.Content = append(at.Content, plainNode(word), value)
	}
	if len(root.Content) == 0 {
		return []byte("{}\n")
	}
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	if err := errors.Join(encoder.Encode(root), encoder.Close()); err != nil {
		panic(err) // a tree of texts can always be written
	}
	return b.Bytes()
}

// below returns the mapping under a key, which is the last one or a new one: paths come in order.
func below(mapping *yaml.Node, key string) *yaml.Node {
	if n := len(mapping.Content); n > 0 && mapping.Content[n-2].Value == key {
		return mapping.Content[n-1]
	}
	under := &yaml.Node{Kind: yaml.MappingNode}
	mapping.Content = append(mapping.Content, plainNode(key), under)
	return under
}

func plainNode(word string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: word}
}

// Tree returns the document as JSON has it: numbers are numbers, the rest texts.
func (d Document) Tree() map[string]any {
	root := map[string]any{}
	for _, p := range d.Paths() {
		var value any = d[p]
		if n, err := strconv.Atoi(d[p]); err == nil && schema[fieldPlace(p)].number {
			value = n
		}
		if p.Name == "" {
			root[p.Section] = value
			continue
		}
		under(under(root, p.Section), p.Name)[p.Field] = value
	}
	return root
}

func under(tree map[string]any, key string) map[string]any {
	if tree[key] == nil {
		tree[key] = map[string]any{}
	}
	return tree[key].(map[string]any)
}
