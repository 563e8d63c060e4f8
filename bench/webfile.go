package main

import (
	"bufio"
	"encoding/binary"
	"math/rand/v2"
	"os"
)

// The file of packets: connections of TCP to four ports of ten servers, a segment with data and an
// acknowledgement without in turns. With its headers it has 400 bytes a packet.
const (
	filePackets     = 1_000_000
	fileConnections = 1000
	fileServers     = 10
	fileData        = 636 // bytes of a segment
)

// The filter of the measured pages in both languages. It selects a fortieth of the packets.
const (
	fileFilter        = "host 10.0.1.3 and tcp port 25"
	fileDisplayFilter = "ip.addr==10.0.1.3 && tcp.port==25"
	fileSelected      = filePackets / fileServers / 4
)

// writePackets writes the file, whose bytes are always the same.
func writePackets(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	out := bufio.NewWriterSize(f, 1<<20)
	header := binary.LittleEndian.AppendUint32(nil, 0xa1b2c3d4) // pcap-savefile(5), in microseconds
	header = binary.LittleEndian.AppendUint16(header, 2)
	header = binary.LittleEndian.AppendUint16(header, 4)
	for _, word := range []uint32{0, 0, 262144, 1} {
		header = binary.LittleEndian.AppendUint32(header, word)
	}
	out.Write(header) // a bufio.Writer keeps its error until Flush
	content := make([]byte, fileData)
	random := rand.New(rand.NewPCG(11, 4711))
	for i := range content {
		content[i] = byte(random.Uint32())
	}
	for n := range filePackets {
		out.Write(packet(n, content))
	}
	if err := out.Flush(); err != nil {
		return err
	}
	return f.Sync() // or the disk is busy with it while it is read
}

// packet returns the record of a packet.
func packet(n int, content []byte) []byte {
	ports := [4]uint16{25, 80, 443, 993}
	pair := n / 2
	connection, turn := pair%fileConnections, pair/fileConnections
	client := [4]byte{10, 1, byte(connection >> 8), byte(connection)}
	server := [4]byte{10, 0, 1, byte(1 + connection%fileServers)}
	clientPort, serverPort := uint16(20000+connection), ports[connection/fileServers%4]
	after := uint32(1 + turn*fileData) // what the client has sent before this turn
	if n%2 == 0 {
		return segment(n, client, server, clientPort, serverPort, after, 1, content)
	}
	return segment(n, server, client, serverPort, clientPort, 1, after+fileData, nil)
}

// segment returns the record of a TCP segment in IPv4 on Ethernet.
func segment(
	n int, from, to [4]byte, fromPort, toPort uint16, sequence, acknowledged uint32, content []byte,
) []byte {
	const headers = 14 + 20 + 32 // Ethernet, IPv4, TCP with timestamps
	length := uint32(headers + len(content))
	b := make([]byte, 0, 16+headers+fileData)
	for _, word := range []uint32{1_700_000_000 + uint32(n/20_000), uint32(n % 20_000 * 50), length, length} {
		b = binary.LittleEndian.AppendUint32(b, word)
	}
	b = append(b, 2, 0, to[0], to[1], to[2], to[3], 2, 0, from[0], from[1], from[2], from[3], 8, 0)
	b = append(b, 0x45, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(length-14))
	b = append(b, 0, 0, 0x40, 0, 64, 6, 0, 0)
	b = append(append(b, from[:]...), to[:]...)
	b = binary.BigEndian.AppendUint16(b, fromPort)
	b = binary.BigEndian.AppendUint16(b, toPort)
	b = binary.BigEndian.AppendUint32(b, sequence)
	b = binary.BigEndian.AppendUint32(b, acknowledged)
	b = append(b, 0x80, 0x10, 0xff, 0xff, 0, 0, 0, 0, 1, 1, 8, 10)
	b = binary.BigEndian.AppendUint32(b, uint32(n))
	b = binary.BigEndian.AppendUint32(b, 0)
	return append(b, content...)
}
