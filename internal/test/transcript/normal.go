package transcript

import (
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"diagsh/internal/test/appliance"
)

// A normal replaces what differs from run to run, or from machine to machine, by its name. Numbers
// of packets stay. The size of a file does not: pcapng names the kernel that it was written on.
type normal []replacement

type replacement struct {
	pattern *regexp.Regexp
	name    string
}

const timeOfDay = `\d\d:\d\d(?::\d\d(?:\.\d+)?)?`

// What is random stands first, the longest before the shorter, and is taken as a whole: a piece of
// it can look like anything else, such as a hardware address in a fingerprint, or a port in a hash.
var random = normal{
	{regexp.MustCompile(`(Last line: |"last":")[0-9a-f]{64}`), "${1}<hash>"},
	{regexp.MustCompile(`SHA256 (?:[0-9A-F]{2}:){31}[0-9A-F]{2}|("sha256": ?")(?:[0-9A-F]{2}:){31}[0-9A-F]{2}`), "${1}<fingerprint>"},
	{regexp.MustCompile(`\bdsh_[a-z1-9]{8}_[a-z1-9]{52}\b`), "<secret>"},
	{regexp.MustCompile(`\b[a-hj-km-np-z2-9]{8}-\d+\b`), "<session>"},
	{regexp.MustCompile(`\b[a-hjkmnp-z]{4}[1-9]{4}\b`), "<token>"},
	{regexp.MustCompile(`SHA256:[A-Za-z0-9+/]{43}`), "<fingerprint>"},
	{regexp.MustCompile(`\b(?:[0-9A-F]{2}:){31}[0-9A-F]{2}\b`), "<fingerprint>"},
	{regexp.MustCompile(`^(HTTPS: +)SHA256 (?:[0-9A-F]{2}:){16}$`), "${1}<fingerprint>"}, // of version, in two rows
	{regexp.MustCompile(`^ {19}(?:[0-9A-F]{2}:){15}[0-9A-F]{2}$`), "<fingerprint>"},
	{regexp.MustCompile(`(<fingerprint> chain )[0-9A-F]{8}\b`), "${1}<hash>"},
	{regexp.MustCompile(`(-----BEGIN [A-Z ]+-----).+?(-----END)`), "$1<pem>$2"},
	// What a certificate of the appliance's own making calls the machine.
	{regexp.MustCompile(`(Names: +mx1, |"names":\["mx1",).*?("?localhost)`), "${1}<machine>, $2"},
	{regexp.MustCompile(`(Serial: +|"serialNumber": ?")[0-9A-F]+`), "${1}<serial>"},
}

var replacements = normal{
	// The table of file systems, before its sizes.
	{regexp.MustCompile(`^ +Size +Used +Avail +Use% .*|^ *[\d.]+ [KMG]?B .*\d% .*|^ *- +- +- .*\(.*|^ {8}\([^ ,]+, [^ ]+\)( read-only| does not answer)?$`), fileSystems},
	// When packets came, and so the graph of a summary, but for its blank line: the heading, rows,
	// the axis, and the times below it.
	{regexp.MustCompile(`^Packets in each column of .*|^ *\d+ [┤└].*|^ +\d\d:\d\d:\d\d\.\d+ .*`), graph},
	{regexp.MustCompile(`^(Span: +).*`), "${1}<duration>"},
	{regexp.MustCompile(`\b[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4} UTC\b`), "<time>"},
	{regexp.MustCompile(`\b\d{4}-\d\d-\d\d[T ]` + timeOfDay + `(?: UTC|Z|[+-]\d\d:\d\d)?`), "<time>"},
	{regexp.MustCompile(`\b` + timeOfDay + ` UTC`), "<time>"},
	{regexp.MustCompile(`^` + timeOfDay + `\.\d{6} `), "<time> "},
	{regexp.MustCompile(`-\d{8}-\d{6}|-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d`), "-<stamp>"},
	{regexp.MustCompile(`\b\d+(?:\.\d)? [KMG]?B\b`), "<size>"},
	{regexp.MustCompile(`("(?:bytes(?:Written)?|ringBytes)": ?)\d+`), "${1}<size>"},
	{regexp.MustCompile(`("pid": ?)\d+`), "${1}<pid>"},
	// How the port log sees sockets, and how many this machine has.
	{regexp.MustCompile(`^Not seen: .*|^ {10}[^ ].*`), blind},
	{regexp.MustCompile(`^(Sockets: +)\d+ held; .*`), "${1}<sockets>"},
	{regexp.MustCompile(`^(Records: +)\d+ written`), "${1}<number> written"},
	{regexp.MustCompile(`(<size>, )\d+ records?\)`), "${1}<number> records)"},
	{regexp.MustCompile(`("engine": ?){.*?}(,"records": ?)\d+`), "${1}<engine>$2<number>"},
	{regexp.MustCompile(`("persistent":(?:true|false),"records": ?)\d+`), "${1}<number>"},
	// The interfaces count what the kernel sends by itself, too.
	{regexp.MustCompile(`(^On the wire: )\d+ packets`), "${1}<number> packets"},
	{regexp.MustCompile(`("packetsSeen": ?)\d+`), "${1}<number>"},
	{regexp.MustCompile(`\b[0-9a-f][26ae](?::[0-9a-f]{2}){5}\b`), "<mac>"},
	{regexp.MustCompile(`(<time>, after )(?:\d+[smhd])+`), "${1}<duration>"},
	{regexp.MustCompile(`\brunning (?:\d+[smhd])+`), "running <duration>"},
	{regexp.MustCompile(`("(?:seconds|bannerSeconds)": ?)[\d.e-]+`), "${1}<duration>"},
	{regexp.MustCompile(`("rate": ?){[^}]*}`), "${1}<rate>"},
	// What the machine is like: status, disk_usage, and what a report had to tell of it.
	{regexp.MustCompile(`\bmachine (?:\d+[smhd])+, appliance (?:\d+[smhd])+`), "machine <duration>, appliance <duration>"},
	{regexp.MustCompile(`^(Load: +).*`), "${1}<load>"},
	{regexp.MustCompile(`"machineSeconds":.*"memoryAvailable":\d+`), `"machine":"<machine>"`},
	{regexp.MustCompile(`("(?:free|reserve)Bytes": ?)\d+`), "${1}<size>"},
	{regexp.MustCompile(`("fileSystems": ?)\[.*?\](,"diagnostic)`), "${1}<file systems>$2"},
	{regexp.MustCompile(`("contents": ?)\[.*?\]`), "${1}<contents>"},
	{regexp.MustCompile(`(with the password: |"password": ?")[^" ]+`), "${1}<password>"},
	{regexp.MustCompile(`(captures and reports, )\d+ bytes`), "${1}<size>"},
	// Columns of who and last: a span of time behind a moment, or at the end of the line.
	{regexp.MustCompile(`(<time>(?: \([^)]*\))?|still logged in) {2,}(?:\d+[smhd])+( {2,}|$)`), "$1  <duration>$2"},
	{regexp.MustCompile(`(status: [A-Z]+, id: )\d+`), "${1}<id>"},
	{regexp.MustCompile(`("id": ?)\d+(,"status")`), "${1}<id>$2"},
	{regexp.MustCompile(`(queued as |id=)[0-9A-Za-z-]+`), "${1}<id>"},
	{regexp.MustCompile(`= [\d.]+/[\d.]+/[\d.]+/[\d.]+ ms`), "= <min/avg/max/stddev> ms"},
	{regexp.MustCompile(`\b\d+\.\d{3} ms\b`), "<ms>"},
	{regexp.MustCompile(`("(?:rttSeconds|minimum|average|deviation|last|best|worst)": ?)[\d.e-]+`), "${1}<duration>"},
	{regexp.MustCompile(`("average": ?<duration>,"maximum": ?)[\d.e-]+`), "${1}<duration>"}, // a queue has a maximum too
	{regexp.MustCompile(`("median": ?)[\d.e-]+(,"maximum": ?)[\d.e-]+`), "${1}<duration>${2}<duration>"},
	{regexp.MustCompile(`^([A-Za-z]+ +\d+)(?: +\d+\.\d{3}){3}$`), "$1  <ms>"}, // steps of smtpping
	{regexp.MustCompile(`( +\d+\.\d% +\d+)(?: +\d+\.\d{3}){5}`), "$1  <ms>"},
	{regexp.MustCompile(`(Built from: ).*( with )|("commit": ?")[^"]*(",)`), "${1}${3}<commit>$2$4"},
	// A column behind a replaced value begins where the value's width wants it.
	{regexp.MustCompile(`(<[a-z ]+>) {3,}`), "$1  "},
}

// newNormal adds what is known of this run.
func newNormal(a *appliance.Appliance) normal {
	list := append(slices.Clone(random), normal{
		{regexp.MustCompile(`\b` + strconv.Itoa(a.Port) + `\b`), "<port>"},
		{regexp.MustCompile(regexp.QuoteMeta(runtime.Version())), "<go>"},
	}...)
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		list = append(list, replacement{regexp.MustCompile(regexp.QuoteMeta(unix.ByteSliceToString(u.Release[:]))), "<kernel>"})
	}
	return append(list, replacements...)
}

// fileSystems stands for the table of those of the machine, of which there are more or fewer.
const fileSystems = "<file systems>"

// blind stands for rows on what the port log does not see on this machine.
const blind = "<not seen>"

// graph stands for one of so many rows.
const graph = "<graph>"

// once leaves of lines that stand for a block of several the first. The table of file systems ends
// with an empty line: a name that is too wide for its column goes on in rows of its own. Of PEM, the
// lines between its first and its last are left out.
func once(lines []string) []string {
	table := false
	lines = slices.DeleteFunc(lines, func(line string) bool {
		if line == fileSystems {
			again := table
			table = true
			return again
		}
		table = table && line != ""
		return table
	})
	block := false // of PEM
	lines = slices.DeleteFunc(lines, func(line string) bool {
		inside := block && !strings.HasPrefix(line, "-----END")
		block = inside || strings.HasPrefix(line, "-----BEGIN ") && !strings.Contains(line, "-----END")
		return inside
	})
	return slices.CompactFunc(lines, func(a, b string) bool { return a == b && (a == graph || a == blind) })
}

func (n normal) line(text string) string {
	for _, r := range n {
		text = r.pattern.ReplaceAllString(text, r.name)
	}
	return strings.TrimRight(text, " ")
}
