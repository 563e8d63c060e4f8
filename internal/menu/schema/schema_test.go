package schema

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"testing"
	"time"
)

type Record struct { // a name that languages have
	Embedded
	Name    string         `json:"name"`
	Address netip.Addr     `json:"address"` // a struct that writes a text
	Time    *time.Time     `json:"time,omitempty"`
	Inner   *Inner         `json:"inner"`
	List    []string       `json:"list"`
	Left    []int          `json:"left,omitempty"`
	Map     map[string]int `json:"map"`
	Bytes   []byte         `json:"bytes,omitempty"`
	Quoted  int64          `json:"quoted,string"`
	Any     any            `json:"any"`
	Own     ownText        `json:"own"`
	Hidden  string         `json:"-"`
	_       string         // what encoding/json cannot see
	Point   struct {
		X float64 `json:"x"`
	} `json:"point"`
}

type Embedded struct {
	Number uint16 `json:"number"`
}

type Inner struct {
	Self *Inner `json:"self,omitempty"`
}

type ownText int

func (ownText) MarshalJSON() ([]byte, error) { return []byte(`"word"`), nil }

// TestOf: a type's schema is what encoding/json writes of it, not what its kind suggests.
func TestOf(t *testing.T) {
	var c Components
	if ref := c.Of(reflect.TypeFor[Record]()).Ref; ref != "#/components/schemas/SchemaRecord" {
		t.Errorf("the component is %s", ref)
	}
	got, err := json.Marshal(c.Result)
	want := `{"SchemaRecord":{"type":"object","properties":{` +
		`"number":{"type":"integer","minimum":0},` +
		`"name":{"type":"string"},` +
		`"address":{"type":"string"},` +
		`"time":{"type":"string","format":"date-time"},` +
		`"inner":{"oneOf":[{"$ref":"#/components/schemas/Inner"},{"type":"null"}]},` +
		`"list":{"type":["array","null"],"items":{"type":"string"}},` +
		`"left":{"type":"array","items":{"type":"integer","format":"int64"}},` +
		`"map":{"type":["object","null"],"additionalProperties":{"type":"integer","format":"int64"}},` +
		`"bytes":{"type":"string","format":"byte"},` +
		`"quoted":{"type":"string"},` +
		`"any":{},` +
		`"own":{"type":"string"},` +
		`"point":{"type":"object","properties":{"x":{"type":"number","format":"double"}},"required":["x"]}},` +
		`"required":["number","name","address","inner","list","map","quoted","any","own","point"]},` +
		`"Inner":{"type":"object","properties":{"self":{"$ref":"#/components/schemas/Inner"}}}}`
	if err != nil || string(got) != want {
		t.Errorf("%s, %v; want\n%s", got, err, want)
	}
}

func TestOutline(t *testing.T) {
	got, err := json.Marshal(Outline(reflect.TypeFor[Record]()))
	want := `{"number":"integer","name":"string","address":"string","time":"date-time","inner":{"self":"any"},"list":["string"],` +
		`"left":["integer"],"map":{"map":"integer"},"bytes":"string","quoted":"integer","any":"any","own":"string","point":{"x":"number"}}`
	if err != nil || string(got) != want {
		t.Errorf("%s, %v; want\n%s", got, err, want)
	}
}
