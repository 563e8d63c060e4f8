package azure

import (
	"regexp"
	"strings"
	"sync"

	"diagsh/internal/menu"
)

// fields are the properties by the arguments of the appliance that they become.
var fields = map[string]string{
	"snaplength":      "bytesToCapturePerPacket",
	"sizebytes":       "totalBytesPerSession",
	"durationseconds": "timeLimitInSeconds",
	"filters":         "filters",
	"target":          "storageLocation.storageId",
	"targetpath":      "storageLocation.storagePath",
	"interfaces":      "target",
	"filebytes":       "captureSettings.fileSizeInBytes",
	"keepfiles":       "captureSettings.fileCount",
	"files":           "captureSettings.fileCount",
}

// filterPlace is how the appliance names a field of a filter, at the beginning of what is wrong with it
// or as the argument.
var filterPlace = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(?i:filters)\[(\d+)\](?:\.(\w+))?`) })

// filterFields are the fields of a filter by the names of the appliance, which differ in these.
var filterFields = map[string]string{"localAddress": "localIPAddress", "remoteAddress": "remoteIPAddress"}

// inFields returns a refusal of the appliance with the property that is wrong in the place of the
// argument. p are the properties that were sent, as far as they are known.
func inFields(e *menu.Error, p properties) *menu.Error {
	named := *e
	for _, text := range []string{e.Argument, e.Message} {
		found := filterPlace().FindStringSubmatch(text)
		if found == nil {
			continue
		}
		named.Argument = "properties.filters[" + found[1] + "]"
		if found[2] != "" {
			field := found[2]
			if theirs, differs := filterFields[field]; differs {
				field = theirs
			}
			named.Argument += "." + field
		}
		if rest, is := strings.CutPrefix(e.Message, found[0]+": "); is {
			named.Message = rest
		}
		return &named
	}
	field, known := fields[strings.ToLower(e.Argument)]
	switch {
	case !known:
		named.Argument = ""
	case e.Argument == "durationseconds" && p.Continuous != nil:
		named.Argument = inProperties("captureSettings.sessionTimeLimitInSeconds")
	default:
		named.Argument = inProperties(field)
	}
	return &named
}
