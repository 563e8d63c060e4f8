package commands

import "diagsh/internal/menu"

// otherWords is what people type who come from AsyncOS, IOS, Junos, BSD or Linux, and what does that here. A line is looked up here only
// when nothing in the tree understands it.
var otherWords = []menu.OtherWords{
	// What runs, and how it is.
	{Lines: []string{"sh|ow ver|sion", "uname", "lsb_release", "ver"}, Here: []string{"version"}},
	{Lines: []string{"sh|ow run|ning-config", "sh|ow start|up-config", "sh|ow conf|iguration", "wr|ite t|erminal"}, Here: []string{"showconfig"}},
	{Lines: []string{"sh|ow clock", "settz", "settime", "ntpconfig", "timedatectl", "sh|ow ntp"}, Here: []string{"date"},
		Note: "The clock is set by the machine's operating system"},
	{Lines: []string{"sh|ow user|s", "w", "users", "finger"}, Here: []string{"who"}},
	{Lines: []string{"id"}, Here: []string{"whoami"}},
	{Lines: []string{"sh|ow log|ging", "logconfig", "findevent", "journalctl", "dmesg", "syslog"}, Here: []string{"tail appliance", "auditlog"}},
	{Lines: []string{"sh|ow tech|-support", "techsupport", "sosreport"}, Here: []string{"diagnostic reporting new", "supportrequest contact CONTACT description TEXT"},
		Note: "There is no tunnel to a support"},
	{Lines: []string{"sh|ow hist|ory", "history"}, Note: "The arrow keys and Ctrl-R go through the lines typed before"},
	{Lines: []string{"top", "ps", "uptime", "free", "vmstat", "sh|ow proc|esses", "sh|ow mem|ory", "sh|ow cpu", "systeminfo"}, Here: []string{"status", "tcpservices"}},
	{Lines: []string{"df", "du", "diskquotaconfig", "sh|ow flash", "sh|ow disk"}, Here: []string{"diagnostic disk_usage"}},
	{Lines: []string{"systemctl", "service", "initctl", "sh|ow serv|ices"}, Here: []string{"diagnostic services status", "diagnostic services restart SERVICE"}},
	{Lines: []string{"mdadm", "sh|ow raid", "megacli"}, Here: []string{"diagnostic raid status"}},

	// Sockets, interfaces, routes, neighbours.
	{Lines: []string{"netstat -r"}, Here: []string{"netstat routes", "netstat routes numeric yes"}},
	{Lines: []string{"netstat -i"}, Here: []string{"netstat interfaces"}},
	{Lines: []string{"netstat -w"}, Here: []string{"netstat traffic", "netstat sockets protocol raw numeric yes"}}, // on BSD, and on Linux
	{Lines: []string{"netstat -u", "ss -u"}, Here: []string{"netstat sockets protocol udp numeric yes", "netstat sockets protocol all numeric yes",
		"netstat sockets protocol udplite numeric yes"}},
	{Lines: []string{"netstat --udplite"}, Here: []string{"netstat sockets protocol udplite numeric yes"}},
	{Lines: []string{"netstat --raw", "ss -w", "ss --raw"}, Here: []string{"netstat sockets protocol raw numeric yes"}},
	{Lines: []string{"ss -0", "ss --packet"}, Here: []string{"netstat sockets protocol packet numeric yes"}},
	{Lines: []string{"netstat -s"}, Here: []string{"netstat interfaces dropped yes", "netstat sockets"}, Note: "Counters of protocols are not shown"},
	{Lines: []string{"netstat -n"}, Here: []string{"netstat sockets numeric yes"}},
	{Lines: []string{"netstat -a", "netstat -t", "netstat -p", "netstat -l"}, Here: []string{"netstat sockets", "netstat sockets numeric yes"}},
	{Lines: []string{"ss", "sh|ow tcp", "sh|ow udp", "sh|ow sockets", "sockstat"}, Here: []string{"netstat sockets numeric yes", "netstat queues"}},
	{Lines: []string{"tcp services", "lsof", "fuser", "sh|ow control-plane"}, Here: []string{"tcpservices"}},
	{Lines: []string{"ifconfig", "ip a|ddress", "ip l|ink", "ip -s", "ip", "nmcli", "sh|ow int|erfaces", "sh|ow ip int|erface", "sh|ow ipv6 int|erface"},
		Here: []string{"netstat interfaces"}},
	{Lines: []string{"interfaceconfig", "ip addr add", "int|erface", "ifup", "ifdown"}, Here: []string{"netstat interfaces", "etherconfig mtu list", "etherconfig vlan list"},
		Note: "Addresses are set by the machine's operating system"},
	{Lines: []string{"ip r|oute", "route", "sh|ow ip ro|ute", "sh|ow ipv6 ro|ute", "sh|ow ro|ute"}, Here: []string{"netstat routes"}},
	{Lines: []string{"setgateway", "routeconfig", "ip route add", "route add"}, Here: []string{"netstat routes"}, Note: "Routes are set by the machine's operating system"},
	{Lines: []string{"arp", "ip n|eighbour", "ip neigh|bor", "sh|ow arp", "sh|ow ip arp"}, Here: []string{"diagnostic network arpshow", "diagnostic network ndpshow"}},
	{Lines: []string{"ndp", "ip -6 n|eighbour", "sh|ow ipv6 nei|ghbors"}, Here: []string{"diagnostic network ndpshow"}},
	{Lines: []string{"ethtool", "mii-tool"}, Here: []string{"etherconfig media list", "netstat interfaces dropped yes"}},
	{Lines: []string{"sh|ow vlan", "vconfig"}, Here: []string{"etherconfig vlan list"}},
	{Lines: []string{"etherconfig pairing", "ifenslave", "sh|ow etherchannel"}, Note: "Interfaces are paired (bonded) by the machine's operating system"},
	{Lines: []string{"iftop", "nload", "bmon", "sar", "nstat"}, Here: []string{"netstat traffic"}},

	// Names, paths, servers.
	{Lines: []string{"dnsconfig", "resolvectl", "sh|ow hosts", "cat /etc/resolv.conf"}, Here: []string{"dnsstatus", "nslookup NAME"},
		Note: "Name servers are set in the machine's /etc/resolv.conf"},
	{Lines: []string{"dnsflush", "dnshostprefs", "ip neigh flush", "arp -d"}, Here: []string{"diagnostic network flush"}},
	{Lines: []string{"host", "drill", "getent"}, Here: []string{"nslookup NAME", "dig NAME"}},
	{Lines: []string{"mtr", "tracepath", "pathping"}, Here: []string{"traceroute HOST"}},
	{Lines: []string{"nc", "ncat", "netcat", "interactive telnet"}, Here: []string{"telnet HOST PORT"}},
	{Lines: []string{"openssl s_client", "swaks", "testsmtp"}, Here: []string{"diagnostic network smtpping HOST"}},
	{Lines: []string{"ipcheck", "sh|ow inv|entory", "sh|ow hardware"}, Here: []string{"version", "status", "netstat interfaces"}},

	// Captures and files.
	{Lines: []string{"tshark", "dumpcap", "monitor capture", "monitor traffic", "debug", "capture", "snoop", "sniffer", "tcpdump -i", "tcpdump -n"},
		Here: []string{"packetcapture start", "packetcapture watch interface NAME", "diagnostic network tcpdump start"}},
	{Lines: []string{"ls", "dir", "cat", "more", "less", "cp", "copy", "scp", "sftp", "rm", "cd", "pwd", "get", "ftp", "tftp", "wget", "curl"},
		Here: []string{"packetcapture list"}, Note: "Files are fetched and removed from your side: sftp HOST, folder /diagnostic"},
	{Lines: []string{"grep", "egrep", "include", "awk", "sed", "head"}, Note: "At a terminal / searches in long output; elsewhere: ssh HOST 'LINE' | grep TEXT"},

	// People, and changes.
	{Lines: []string{"en|able", "dis|able", "su", "sudo", "configure exclusive", "conf|igure t|erminal", "configure", "edit", "conf"},
		Here: []string{"whoami"}, Note: "There are no levels and no modes: what your role may do, it may do at once, and changes hold after commit"},
	{Lines: []string{"wr|ite mem|ory", "wr|ite", "save", "copy running-config startup-config"}, Here: []string{"commit", "saveconfig"}},
	{Lines: []string{"rollback", "clearchange", "discard", "abort"}, Here: []string{"clearchanges", "rollbackconfig NUMBER"}},
	{Lines: []string{"sh|ow changes", "sh|ow diff", "compare", "diff"}, Here: []string{"showchanges"}},
	{Lines: []string{"useradd", "adduser", "username", "deluser", "userdel", "usermod"}, Here: []string{"userconfig new USER", "userconfig list"}},
	{Lines: []string{"password", "chpasswd"}, Here: []string{"passwd"}},
	{Lines: []string{"ssh-copy-id", "sshconfig userkey"}, Here: []string{"userconfig key USER new KEY"}},
	{Lines: []string{"adminaccessconfig", "sshconfig", "banner", "motd"}, Here: []string{"showconfig", "loadconfig"},
		Note: "Banner, welcome text and idle time are in the configuration"},
	{Lines: []string{"mailconfig"}, Here: []string{"saveconfig"}, Note: "The file is fetched by sftp"},
	{Lines: []string{"resetconfiguration", "erase startup-config", "write erase", "factory-reset"}, Here: []string{"resetconfig", "diagnostic reload"}},
	{Lines: []string{"sh", "bash", "shell", "start shell", "exec"}, Note: "There is no shell of the operating system here. Type help to see the commands"},
	{Lines: []string{"man", "commands", "h"}, Here: []string{"help", "help COMMAND"}},
	{Lines: []string{"cls"}, Note: "Ctrl-L clears the screen"},
	{Lines: []string{"logout", "bye", "end", "q", "x"}, Here: []string{"exit"}},
	{Lines: []string{"screen-length", "no paging", "no pager", "set length", "set cli", "stty"}, Here: []string{"terminal length 0", "terminal width COLUMNS"}},

	// What only the machine can do, and what is no part of a diagnostic appliance.
	{Lines: []string{"reboot", "shutdown", "halt", "poweroff", "reload in", "reset", "suspend", "resume", "init"},
		Note: "The machine is restarted and shut down by its operating system. Services are restarted by: diagnostic services restart SERVICE"},
	{Lines: []string{"upgrade", "update", "apt", "yum", "dnf", "opkg", "install", "revert", "featurekey", "license", "loadlicense"},
		Note: "The appliance is upgraded by its operating system: a new program file, and a restart of the service"},
	{Lines: []string{"alertconfig", "snmpconfig", "snmpwalk", "sh|ow snmp", "setsnmp"}, Here: []string{"status"},
		Note: "Nothing is sent by itself; programs ask over SSH or the API, with --json"},
	{Lines: []string{"diagnostic tracking", "tracking", "workqueue", "hoststatus", "tophosts", "hostrate", "rate", "showmessage", "delivernow", "suspendlistener", "resumelistener", "listenerconfig"},
		Here: []string{"diagnostic network smtpping HOST"}, Note: "No mail passes this appliance, so there is nothing of it to show"},
}
