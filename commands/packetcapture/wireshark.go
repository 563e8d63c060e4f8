package packetcapture

import (
	"context"
	"io"

	"diagsh/assets"
	"diagsh/internal/menu"
)

func wiresharkCommand() *menu.Command {
	return menu.Decl[menu.NoArgs, struct{}]{
		Name: "wireshark",
		Help: "Write a plug-in for Wireshark: fields of the processes and drops of packets.",
		Details: "The file is diagsh.lua. In Wireshark's folder of personal plug-ins (Help > About > Folders) it makes " +
			"fields of what pcapng files say of packets: diagsh.process, .pid, .user and .exe of who sent them, " +
			"diagsh.to.process and so on of who received them, diagsh.drop.reason and .place of what the kernel dropped. " +
			"They can be columns and display filters. tshark takes it with -X lua_script:diagsh.lua.",
		Terminal:  "On your own machine: ssh HOST packetcapture wireshark > diagsh.lua puts it into a file.",
		Role:      menu.ReadOnly,
		Shape:     menu.Bytes,
		Resources: []menu.Resource{{Method: "GET", Path: "diagsh.lua", Type: "text/x-lua"}},
		Run: func(_ context.Context, _ menu.Caller, _ menu.NoArgs, out *menu.Out[struct{}]) error {
			_, err := io.WriteString(out, assets.Wireshark)
			return err
		},
	}.Command()
}
