package commands

// Senders are the commands that send packets to a host that the caller names, by their paths, and by
// those with their aliases. What faces the network bounds how often it asks for them.
var Senders = []string{
	"diagnostic network smtpping",
	"dig",
	"nslookup",
	"ping",
	"ping6",
	"telnet",
	"traceroute",
	"traceroute6",
	"tracert",
}
