package azure

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"diagsh/internal/menu"
)

// properties are those of a capture, with the names and in the order that Azure has. What a client
// leaves out is nil or empty until complete.
type properties struct {
	ProvisioningState string           `json:"provisioningState"`
	Target            string           `json:"target"`
	Scope             *scope           `json:"scope,omitempty"`
	TargetType        string           `json:"targetType"`
	Bytes             *numeral         `json:"bytesToCapturePerPacket"`
	Total             *numeral         `json:"totalBytesPerSession"`
	Seconds           *numeral         `json:"timeLimitInSeconds"`
	Continuous        *bool            `json:"continuousCapture,omitempty"`
	Settings          *captureSettings `json:"captureSettings,omitempty"`
	Storage           storageLocation  `json:"storageLocation"`
	Filters           []packetFilter   `json:"filters"`
}

// A scope says which instances of a scale set capture.
type scope struct {
	Include []string `json:"include"`
	Exclude []string `json:"exclude"`
}

// captureSettings bound a continuous capture.
type captureSettings struct {
	FileCount *numeral `json:"fileCount,omitempty"`
	FileBytes *numeral `json:"fileSizeInBytes,omitempty"`
	Seconds   *numeral `json:"sessionTimeLimitInSeconds,omitempty"`
}

// A storageLocation says where the packets go.
type storageLocation struct {
	StorageID   string `json:"storageId,omitempty"`
	StoragePath string `json:"storagePath"`
	FilePath    string `json:"filePath,omitempty"`
	LocalPath   string `json:"localPath,omitempty"`
}

// A packetFilter is one of several of which one is enough.
type packetFilter struct {
	Protocol      string `json:"protocol"`
	RemoteAddress string `json:"remoteIPAddress"`
	LocalAddress  string `json:"localIPAddress"`
	LocalPort     string `json:"localPort"`
	RemotePort    string `json:"remotePort"`
}

// The bounds and the defaults that Azure has.
const (
	mostSeconds    = 18000
	mostBytes      = 1<<32 - 1
	defaultTotal   = 1 << 30
	defaultFiles   = 10
	mostFiles      = 10000
	defaultPerFile = 100 << 20
	defaultSession = 86400
	mostSession    = 604800

	// leastTotal and leastPerFile are the least that a capture of the appliance is given.
	leastTotal   = 4096
	leastPerFile = 1 << 20
)

// inProperties names a field of the properties.
func inProperties(field string) string { return "properties." + field }

// wrong returns the refusal of a field of the properties.
func wrong(field, format string, args ...any) *menu.Error {
	return menu.BadArgument(inProperties(field), format, args...)
}

// errContent is of a body that is no JSON.
var errContent = menu.Errorf(menu.Usage, "The request content was invalid and could not be deserialized: it is no JSON object with properties")

// readProperties reads the properties in a body of a PUT, and returns them also as they were sent. They are
// not complete. The names of members are compared without case; unknown ones are ignored, and so are nulls.
func readProperties(body []byte) (p properties, sent json.RawMessage, refused *menu.Error) {
	var whole struct{ Properties json.RawMessage }
	if err := json.Unmarshal(body, &whole); err != nil || !bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")) {
		return p, nil, errContent
	}
	if len(whole.Properties) == 0 || whole.Properties[0] != '{' {
		return p, nil, menu.BadArgument("properties", "it is missing")
	}
	p, refused = parseProperties(whole.Properties)
	return p, whole.Properties, refused
}

// parseProperties reads properties. An error names the field that is of a wrong type.
func parseProperties(text []byte) (p properties, refused *menu.Error) {
	var sent struct {
		properties
		Filters []json.RawMessage `json:"filters"` // each by itself, so that a fault names its number
	}
	if err := json.Unmarshal(text, &sent); err != nil {
		return p, ofWrongType("", err)
	}
	p = sent.properties
	p.ProvisioningState = "" // it is what the server says
	p.Filters = make([]packetFilter, len(sent.Filters))
	for i, text := range sent.Filters {
		if string(text) == "null" { // which would be a filter that every packet matches
			return p, wrong(fmt.Sprintf("filters[%d]", i), "it is null")
		}
		if err := json.Unmarshal(text, &p.Filters[i]); err != nil {
			return p, ofWrongType(fmt.Sprintf("filters[%d]", i), err)
		}
	}
	return p, nil
}

// ofWrongType returns the refusal of a value that JSON has in another type than the field takes.
func ofWrongType(within string, err error) *menu.Error {
	kind, is := errors.AsType[*json.UnmarshalTypeError](err)
	if !is {
		return menu.BadArgument(strings.TrimSuffix(inProperties(within), "."), "it cannot be read").
			WithHint("A number is written in digits, and a text in quotes")
	}
	field := strings.TrimPrefix(kind.Field, "properties.") // the name of the embedded struct
	if within != "" && field != "" {
		field = within + "." + field
	}
	if field == "" {
		field = within
	}
	return menu.BadArgument(strings.TrimSuffix(inProperties(field), "."), "it cannot be a JSON %s", kind.Value)
}

// complete checks what can be checked without a look at the appliance, and fills in the defaults.
func (p *properties) complete() *menu.Error {
	if p.TargetType == "" {
		p.TargetType = vmType
	}
	for _, n := range []struct {
		field       string
		value       **numeral
		least, most int64
		otherwise   int64
	}{
		{"bytesToCapturePerPacket", &p.Bytes, 0, mostBytes, 0},
		{"totalBytesPerSession", &p.Total, 0, mostBytes, defaultTotal},
		{"timeLimitInSeconds", &p.Seconds, 1, mostSeconds, mostSeconds},
	} {
		if refused := bounded(n.field, n.value, n.least, n.most, n.otherwise); refused != nil {
			return refused
		}
	}
	if total := number(p.Total); total > 0 && total < leastTotal {
		return wrong("totalBytesPerSession", "'%d' is less than a capture takes here (%d; 0 is no limit)", total, leastTotal)
	}
	for i, f := range p.Filters {
		if !oneOf(f.Protocol, "", "TCP", "UDP", "Any") {
			return wrong(fmt.Sprintf("filters[%d].protocol", i), "'%s' is no protocol (TCP, UDP, Any)", menu.Bounded(f.Protocol, 40))
		}
	}
	if refused := p.completeSettings(); refused != nil {
		return refused
	}
	return p.Storage.check(p.Continuous != nil)
}

// completeSettings checks what bounds a continuous capture, and fills in the defaults.
func (p *properties) completeSettings() *menu.Error {
	switch {
	case p.Continuous == nil && p.Settings != nil && *p.Settings != (captureSettings{}):
		return wrong("captureSettings", "it needs continuousCapture true or false")
	case p.Continuous == nil:
		p.Settings = nil
		return nil
	case p.Settings == nil:
		p.Settings = new(captureSettings)
	}
	s, fewest := p.Settings, int64(1)
	if *p.Continuous {
		fewest = 2 // of which one is written while the other is kept
	}
	if refused := bounded("captureSettings.fileCount", &s.FileCount, fewest, mostFiles, defaultFiles); refused != nil {
		return refused
	}
	if refused := bounded("captureSettings.fileSizeInBytes", &s.FileBytes, leastPerFile, mostBytes, defaultPerFile); refused != nil {
		return refused
	}
	return bounded("captureSettings.sessionTimeLimitInSeconds", &s.Seconds, 1, mostSession, defaultSession)
}

// bounded checks a number, and puts otherwise in the place of none.
func bounded(field string, value **numeral, least, most, otherwise int64) *menu.Error {
	if *value == nil {
		*value = numberOf(otherwise)
		return nil
	}
	n, err := strconv.ParseInt(string(**value), 10, 64)
	if err != nil || n < least || n > most {
		return wrong(field, "'%s' is no number from %d to %d", menu.Bounded(string(**value), 40), least, most)
	}
	*value = numberOf(n)
	return nil
}

// A numeral is a number as JSON has it, in digits or in quotes. What is none is kept until bounded refuses it,
// which knows the name of the field.
type numeral string

// UnmarshalJSON implements json.Unmarshaler.
func (n *numeral) UnmarshalJSON(text []byte) error {
	*n = numeral(strings.Trim(string(text), `"`))
	return nil
}

// MarshalJSON implements json.Marshaler for a number that was checked.
func (n numeral) MarshalJSON() ([]byte, error) { return []byte(n), nil }

// numberOf returns a number as JSON has it.
func numberOf(n int64) *numeral { return new(numeral(strconv.FormatInt(n, 10))) }

// number returns the value of a number that was checked.
func number(n *numeral) int64 {
	value, _ := strconv.ParseInt(string(*n), 10, 64)
	return value
}

// oneOf reports whether a word is one of several, in any case.
func oneOf(word string, words ...string) bool {
	for _, w := range words {
		if strings.EqualFold(word, w) {
			return true
		}
	}
	return false
}

// The paths of files on a machine of Azure.
const (
	captureFolder = "/var/captures/"
	captureEnding = ".cap"
)

// check compares the ways in which packets can be stored, and writes paths with slashes: a client of an
// old version sends them with backslashes.
func (l *storageLocation) check(continuous bool) *menu.Error {
	l.FilePath, l.LocalPath = strings.ReplaceAll(l.FilePath, `\`, "/"), strings.ReplaceAll(l.LocalPath, `\`, "/")
	switch {
	case l.StorageID == "" && l.FilePath == "" && l.LocalPath == "":
		return wrong("storageLocation", "one of storageId, filePath and localPath must be given")
	case l.StoragePath != "" && l.StorageID == "":
		return wrong("storageLocation.storagePath", "it needs storageId")
	case l.FilePath != "" && continuous:
		return wrong("storageLocation.filePath", "it is not for a continuous capture, which has localPath")
	case l.LocalPath != "" && !continuous:
		return wrong("storageLocation.localPath", "it is for a continuous capture (continuousCapture true or false)")
	}
	for field, path := range map[string]string{"filePath": l.FilePath, "localPath": l.LocalPath} {
		name, within := strings.CutPrefix(path, captureFolder)
		plain := within && strings.HasSuffix(name, captureEnding) && name != captureEnding && len(path) <= 255 &&
			!strings.Contains(path, "..") && menu.Clean(path) == path
		if path != "" && !plain {
			return wrong("storageLocation."+field, "'%s' is no path of a capture (%sNAME%s)", menu.Bounded(path, 80), captureFolder, captureEnding)
		}
	}
	return nil
}

// sameAs reports whether two captures were asked for by the same properties. What the server chooses
// where a client leaves it out is left out of that.
func (p properties) sameAs(other properties) bool {
	return reflect.DeepEqual(p.compared(), other.compared())
}

// compared returns the properties as sameAs compares them.
func (p properties) compared() properties {
	p.ProvisioningState, p.Storage.StoragePath = "", ""
	p.Target, p.Storage.StorageID = strings.ToLower(p.Target), strings.ToLower(p.Storage.StorageID)
	p.TargetType = strings.ToLower(p.TargetType)
	if p.Scope != nil {
		p.Scope = &scope{instances(p.Scope.Include), instances(p.Scope.Exclude)}
	}
	return p
}
