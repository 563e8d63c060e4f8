package decode

import (
	"fmt"
	"net"
	"reflect"
	"strconv"
	"strings"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// Limits of what is shown of one layer.
const (
	maxFields = 300
	maxDepth  = 4
	maxItems  = 32 // of a list
	maxBytes  = 64 // of a value
)

// fields returns the values of a layer, by the names that gopacket gives them.
func fields(l gopacket.Layer) []Field {
	f := &lister{}
	f.structure("", reflect.Indirect(reflect.ValueOf(l)), 0)
	return f.list
}

type lister struct{ list []Field }

func (f *lister) add(name, value string) {
	if len(f.list) < maxFields {
		f.list = append(f.list, Field{name, clean(cut(value, 4*maxBytes))})
	}
}

var baseLayer = reflect.TypeFor[layers.BaseLayer]()

func (f *lister) structure(prefix string, v reflect.Value, depth int) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if !field.IsExported() || field.Type == baseLayer {
			continue
		}
		name := prefix + field.Name
		if field.Anonymous {
			name = prefix + field.Type.Name()
		}
		f.value(name, v.Field(i), depth)
	}
}

func (f *lister) value(name string, v reflect.Value, depth int) {
	if !v.IsValid() || len(f.list) >= maxFields || depth > maxDepth {
		return
	}
	switch x := v.Interface().(type) {
	case net.IP:
		if len(x) > 0 {
			f.add(name, address(x))
		}
		return
	case net.HardwareAddr:
		f.add(name, x.String())
		return
	case []byte:
		if len(x) > 0 {
			f.add(name, byteText(x))
		}
		return
	case layers.EthernetType, layers.PPPType:
		// These have names if gopacket knows them; Trim may have removed the word for an unknown
		// one.
		text := x.(fmt.Stringer).String()
		if text == "" || strings.HasPrefix(text, "Unknown") {
			text = fmt.Sprintf("0x%04x", v.Uint())
		}
		f.add(name, text)
		return
	case layers.DNSType, layers.DNSClass, layers.DNSResponseCode, layers.IPProtocol, layers.ICMPv4TypeCode,
		layers.ICMPv6TypeCode,
		layers.IPv4Flag, layers.DHCPOpt, layers.TCPOptionKind, layers.LinkType:
		// These are numbers with names.
		f.add(name, x.(fmt.Stringer).String())
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		f.add(name, strconv.FormatBool(v.Bool()))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		f.add(name, strconv.FormatInt(v.Int(), 10))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		f.add(name, strconv.FormatUint(v.Uint(), 10))
	case reflect.String:
		f.add(name, v.String())
	case reflect.Struct:
		f.structure(name+".", v, depth+1)
	case reflect.Pointer:
		if !v.IsNil() {
			f.value(name, v.Elem(), depth+1)
		}
	case reflect.Slice, reflect.Array:
		for i := range min(v.Len(), maxItems) {
			f.value(fmt.Sprintf("%s[%d]", name, i), v.Index(i), depth+1)
		}
		if v.Len() > maxItems {
			f.add(name, "and more")
		}
	}
}

// byteText returns bytes as text if they are text, else in hexadecimal.
func byteText(b []byte) string {
	if len(b) > 0 && plain(string(b)) {
		return strconv.Quote(cut(string(b), maxBytes))
	}
	if len(b) > maxBytes {
		return fmt.Sprintf("%x... (%d bytes)", b[:maxBytes], len(b))
	}
	return fmt.Sprintf("%x", b)
}
